/* SPDX-License-Identifier: ISC */
/*
 * IP packets in hex, their checksums computed by Scapy. The unit tests read them, and the fuzzer's
 * seeds are written from them (tests/fuzz/seed), one file of the vector's name each.
 */
#ifndef PACKET_VECTORS_H
#define PACKET_VECTORS_H

#define PLAIT "706c616974"

/* 192.0.2.1 to 198.51.100.7; 2001:db8::1 to 2001:db8:0:7::2 */
#define ADDRESSES4 "c0000201 c6336407"
#define ADDRESSES6 "20010db8000000000000000000000001 20010db8000000070000000000000002"

#define IP4(len, sum) "4500" len "1234 4000 3d06" sum ADDRESSES4
/* NOP, and a Record Route (RFC 791 3.1) with one place that is free */
#define IP4_OPTIONS(len, sum) "4700" len "1234 0000 3d06" sum ADDRESSES4 "01 070704 00000000"
#define IP6(len) "60012345" len "06 3b" ADDRESSES6
/* Hop-by-hop options, a routing header without segments left, destination options */
#define IP6_EXTENSIONS(len)                                                                        \
	"60012345" len "00 3b" ADDRESSES6 "2b00 050200000100"                                      \
	"3c02 0000 00000000 20010db8000000000000000000000009" \
	"0601 010c000000000000000000000000"

/* From port 443 to 40000, acknowledgement number 0a0b0c0d */
#define TCP(seq, rest) "01bb 9c40" seq "0a0b0c0d" rest
/* MSS, SACK permitted, timestamps, window scale, MP_CAPABLE */
#define SYNACK(seq, sum) \
	TCP(seq, "d012 fe88" sum "0000") \
	"020405b4 0402 080a1122334455667788 01 030307 1e0c01000123456789abcdef"
/* MSS, MP_JOIN */
#define SYNACK_JOIN(seq, sum) \
	TCP(seq, "b012 fe88" sum "0000") "020405a0 0101 1e1010050a0b0c0d01020304abcdef01 0000"
#define RST(sum) TCP("00000000", "5014 0000" sum "0000")

/* What a SYN/ACK is, and what becomes of it. */
static const struct family {
	const char *name;
	const char *src, *dst;
	size_t tcp, len;
	int mptcp;
	const char *synack;
	const char *extended; /* by PLAIT */
	const char *reset;
} families[] = {
	{
		.name = "v4",
		.src = "192.0.2.1",
		.dst = "198.51.100.7",
		.tcp = 20,
		.len = 72,
		.mptcp = 0,
		.synack = IP4("0048", "3f40") SYNACK("01020304", "a67e"),
		.extended = IP4("004d", "3f3b") SYNACK("010202ff", "60a8") PLAIT,
		.reset = IP4("0028", "3f60") RST("0f81"),
	},
	{
		.name = "v4_options",
		.src = "192.0.2.1",
		.dst = "198.51.100.7",
		.tcp = 28,
		.len = 80,
		.mptcp = 0,
		.synack = IP4_OPTIONS("0050", "752d") SYNACK("01020304", "a67e"),
		.extended = IP4_OPTIONS("0055", "7528") SYNACK("010202ff", "60a8") PLAIT,
		.reset = IP4_OPTIONS("0030", "754d") RST("0f81"),
	},
	{
		.name = "v6",
		.src = "2001:db8::1",
		.dst = "2001:db8:0:7::2",
		.tcp = 40,
		.len = 92,
		.mptcp = 0,
		.synack = IP6("0034") SYNACK("01020304", "373f"),
		.extended = IP6("0039") SYNACK("010202ff", "f168") PLAIT,
		.reset = IP6("0014") RST("a041"),
	},
	{
		.name = "v6_extensions",
		.src = "2001:db8::1",
		.dst = "2001:db8:0:7::2",
		.tcp = 88,
		.len = 132,
		.mptcp = 1,
		.synack = IP6_EXTENSIONS("005c") SYNACK_JOIN("01020304", "51f4"),
		.extended = IP6_EXTENSIONS("0061") SYNACK_JOIN("010202ff", "0c1e") PLAIT,
		.reset = IP6_EXTENSIONS("0044") RST("a041"),
	},
};

/* A SYN with PLAIT whose sequence number wraps behind it, and what is left without PLAIT. */
#define WRAP_DATA IP4("002d", "3f5b") "01bb 9c40 fffffffe 00000000 5002 fe88 e147 0000" PLAIT
#define WRAP_BARE IP4("0028", "3f60") "01bb 9c40 00000003 00000000 5002 fe88 271f 0000"

/* With @code "0d" and "01": of the SYN that the SYN/ACKs above answer. */
#define UNREACHABLE4                                                                               \
	"030d e949 00000000 4500 0028 0000 0000 4006 8e94 c6336407 c0000201" \
	"9c40 01bb 0a0b0c0c 00000000 5002 0000 0f94 0000"
#define UNREACHABLE6                                                                               \
	"0101 0000 00000000 60000000 0014 06 40"                                                   \
	"20010db8000000070000000000000002 20010db8000000000000000000000001"                        \
	"9c40 01bb 0a0b0c0c 00000000 5002 0000 a054 0000"

/* Packets that are no whole TCP segment, right as they are otherwise. */
static const struct other {
	const char *name, *packet;
} others[] = {
	{ "v4_first_fragment", "45000048 00012000 4006 6e73" ADDRESSES4 SYNACK("01020304", "a67e") },
	{ "v4_udp", "45000030 12344000 3d11 3f4d" ADDRESSES4
		    "0001 0002 001c ff6c 3132333435363738393031323334353637383930" },
	{ "v6_fragment", "60012345 001c 2c 3b" ADDRESSES6 "0600 0000 00000007"
			 TCP("01020304", "5012 fe88 9db4 0000") },
	{ "v6_segments_left", "60012345 002c 2b 3b" ADDRESSES6
			      "0602 0001 00000000 20010db8000000000000000000000009"
			      TCP("01020304", "5012 fe88 9db4 0000") },
};

#endif
