/* SPDX-License-Identifier: ISC */
/*
 * Convert messages in hex, each with its sender and what the decoder says of it. The unit tests
 * read them, and the fuzzer's seeds are written from them (tests/fuzz/seed), one file of the
 * vector's name each.
 *
 * The answer is what a converter sends to a client's faulty message; none means a reset.
 */
#ifndef CONVERT_VECTORS_H
#define CONVERT_VECTORS_H

#include "wire/convert.h"

/* Pieces; figures are those of RFC 8803 */
#define HEAD(words) "01" words "2263" /* figure 13 */
#define INFO "0101 0000"              /* figure 15 */
#define CONNECT_V4 "0a05 01bb 00000000 00000000 0000ffff c0000201" /* figure 17 */
#define CONNECT_V6 "0a05 0050 20010db8 00000000 00000000 00000001"
#define CONNECT_EXT(words, options) /* figure 18 */ \
	"0a" words "01bb 00000000 00000000 0000ffff c0000201" options
#define COOKIE "1603 0000 0011223344556677" /* figure 21 */
#define ECHO(flags) "c003" flags "32 0123456789abcdef"
#define EXTENDED_HEADER "1403 0000 020405b4 0402 0000" /* figure 20 */
#define SUPPORTED "1502 0000 1e08 0400"                /* figure 16 */

#define CLIENT_FINE(name, message) { name, CONVERT_FROM_CLIENT, CONVERT_FINE, message, NULL }
#define CONVERTER_FINE(name, message) { name, CONVERT_FROM_CONVERTER, CONVERT_FINE, message, NULL }

/* A client's faulty message with its answer. */
#define BAD(name, defect, message, answer) \
	{ name, CONVERT_FROM_CLIENT, CONVERT_DEFECT_##defect, message, answer }
/* The answer echoes the message (figure 23); the lengths in words are those of the answer. */
#define MALFORMED(name, defect, message, total, tlv) \
	BAD(name, defect, message, HEAD(total) "1e" tlv "01 00" message)
#define UNSUPPORTED(name, defect, message, total, tlv) \
	BAD(name, defect, message, HEAD(total) "1e" tlv "02 00" message)
/* A converter's, which the client resets. */
#define BAD_ANSWER(name, defect, message) \
	{ name, CONVERT_FROM_CONVERTER, CONVERT_DEFECT_##defect, message, NULL }

/* A Connect TLV alone, with this port and address: four words */
#define SERVER(port, ip) HEAD("06") "0a05" port ip
#define BAD_SERVER(name, port, ip) MALFORMED(name, CONNECT_ADDRESS, SERVER(port, ip), "08", "07")

static const struct vector {
	const char *name;
	enum convert_sender sender;
	enum convert_defect defect;
	const char *message;
	const char *answer;
} vectors[] = {
	/* Fine ones are in the order of convert_encode(), which has to give the same bytes. */
	CLIENT_FINE("info", HEAD("02") INFO),
	CLIENT_FINE("info_cookie", HEAD("05") INFO COOKIE),
	CLIENT_FINE("connect_v4", HEAD("06") CONNECT_V4),
	CLIENT_FINE("connect_v6", HEAD("06") CONNECT_V6),
	CLIENT_FINE("connect_early_data", HEAD("06") CONNECT_V4 "474554202f"),
	CLIENT_FINE("connect_info", HEAD("07") CONNECT_V4 INFO),
	CLIENT_FINE("connect_cookie", HEAD("09") CONNECT_V4 COOKIE),
	CLIENT_FINE("connect_cookie_empty", HEAD("07") CONNECT_V4 "1601 0000"),
	CLIENT_FINE("connect_echo", HEAD("09") CONNECT_V4 ECHO("01")),
	CLIENT_FINE("connect_echo_cookie", HEAD("0c") CONNECT_V6 ECHO("01") COOKIE),
	/* figure 19: SACK permitted, timestamps and Multipath TCP, without values */
	CLIENT_FINE("connect_options", HEAD("08") CONNECT_EXT("07", "0402 0802 1e02 0000")),
	CLIENT_FINE("connect_options_full", HEAD("07") CONNECT_EXT("06", "0402 1e02")),
	CLIENT_FINE("connect_options_padding_only", HEAD("07") CONNECT_EXT("06", "00000000")),
	/* RFC 8803 7.1-7.3: NOP, MSS, window scale and SACK blocks */
	CLIENT_FINE("connect_options_ignored",
		HEAD("0b") CONNECT_EXT("0a", "01 020405b4 030307 050a0011223344556677 0000")),

	CONVERTER_FINE("answer_success", HEAD("0c") CONNECT_V4 ECHO("01") EXTENDED_HEADER),
	CONVERTER_FINE("answer_pending", HEAD("09") CONNECT_V4 ECHO("03")),
	CONVERTER_FINE("answer_failure", HEAD("05") "1e01 60 00" ECHO("01")),
	CONVERTER_FINE("verdict", HEAD("02") "c101 00 00"),
	CONVERTER_FINE("extended_header", HEAD("04") EXTENDED_HEADER),
	CONVERTER_FINE("extended_header_empty", HEAD("02") "1401 0000"),
	CONVERTER_FINE("supported", HEAD("03") SUPPORTED),
	/* figure 22 */
	CONVERTER_FINE("error_version", HEAD("02") "1e01 00 01"),
	CONVERTER_FINE("error_missing_cookie", HEAD("04") "1e03 03 00 0011223344556677"),
	CONVERTER_FINE("error_unreachable", HEAD("02") "1e01 61 03"),
	CONVERTER_FINE("error_unknown", HEAD("02") "1e01 ff 00"),
	/* figure 23 */
	CONVERTER_FINE("error_echo", HEAD("04") "1e03 01 00" HEAD("02") "0100 0000"),

	BAD("magic_wrong", MAGIC_WRONG, "01022264 0101 0000", NULL),
	BAD("magic_wrong_http", MAGIC_WRONG, "47455420 2f204854 54502f31 2e310d0a", NULL),
	BAD("magic_wrong_zeros", MAGIC_WRONG, "00000000 00000000", NULL),

	BAD("version_zero", VERSION_UNSUPPORTED, "00022263 0101 0000", HEAD("02") "1e01 00 01"),
	BAD("version_two", VERSION_UNSUPPORTED, "02022263 0101 0000", HEAD("02") "1e01 00 01"),
	/* another version may have other TLVs, and no words in its length */
	BAD("version_high", VERSION_UNSUPPORTED, "ff002263", HEAD("02") "1e01 00 01"),

	BAD("total_length_zero", TOTAL_LENGTH_ZERO, "01002263 0101 0000", NULL),

	MALFORMED("no_tlv", NO_TLV, HEAD("01"), "03", "02"),
	BAD_ANSWER("no_tlv_answer", NO_TLV, HEAD("01")),

	MALFORMED("tlv_length_zero", TLV_LENGTH_ZERO, HEAD("02") "0100 0000", "04", "03"),
	MALFORMED("tlv_length_zero_last", TLV_LENGTH_ZERO,
		HEAD("07") CONNECT_V4 "1600 0000", "09", "08"),
	MALFORMED("tlv_length_zero_unknown", TLV_LENGTH_ZERO, HEAD("02") "0200 0000", "04", "03"),

	MALFORMED("tlv_length_wrong_info", TLV_LENGTH_WRONG,
		HEAD("03") "0102 0000 00000000", "05", "04"),
	MALFORMED("tlv_length_wrong_connect", TLV_LENGTH_WRONG,
		HEAD("05") "0a04 01bb 00000000 00000000 0000ffff", "07", "06"),
	/* port 0 too, but a Connect TLV without an address has none to judge */
	MALFORMED("tlv_length_wrong_connect_bare", TLV_LENGTH_WRONG,
		HEAD("02") "0a01 0000", "04", "03"),
	MALFORMED("tlv_length_wrong_echo_short", TLV_LENGTH_WRONG,
		HEAD("08") CONNECT_V4 "c002 0132 01234567", "0a", "09"),
	MALFORMED("tlv_length_wrong_echo_long", TLV_LENGTH_WRONG,
		HEAD("0a") CONNECT_V4 "c004 0132 0123456789abcdef 00000000", "0c", "0b"),
	BAD_ANSWER("tlv_length_wrong_verdict", TLV_LENGTH_WRONG, HEAD("03") "c102 0000 00000000"),

	MALFORMED("tlv_overrun_connect", TLV_OVERRUN,
		HEAD("06") "0a06 01bb 00000000 00000000 0000ffff c0000201", "08", "07"),
	MALFORMED("tlv_overrun_cookie", TLV_OVERRUN, HEAD("03") INFO "1602 0000", "05", "04"),
	MALFORMED("tlv_overrun_unknown", TLV_OVERRUN, HEAD("02") "02ff 0000", "04", "03"),
	/* what is behind the Total Length is user data, and no part of a TLV */
	MALFORMED("tlv_overrun_into_data", TLV_OVERRUN,
		HEAD("02") "1602 0000 00000000", "05", "04"),
	MALFORMED("tlv_overrun_truncated", TLV_OVERRUN, HEAD("07") CONNECT_V4, "08", "07"),
	BAD_ANSWER("tlv_overrun_error", TLV_OVERRUN, HEAD("02") "1e02 0300"),

	MALFORMED("tlv_duplicate", TLV_DUPLICATE, HEAD("03") INFO INFO, "05", "04"),
	MALFORMED("tlv_duplicate_connect", TLV_DUPLICATE,
		HEAD("0b") CONNECT_V4 CONNECT_V6, "0d", "0c"),
	MALFORMED("tlv_duplicate_cookie", TLV_DUPLICATE, HEAD("08") INFO COOKIE COOKIE, "0a", "09"),
	MALFORMED("tlv_duplicate_echo", TLV_DUPLICATE,
		HEAD("08") INFO ECHO("00") ECHO("01"), "0a", "09"),
	MALFORMED("tlv_duplicate_apart", TLV_DUPLICATE, HEAD("06") INFO COOKIE INFO, "08", "07"),
	BAD_ANSWER("tlv_duplicate_error", TLV_DUPLICATE, HEAD("03") "1e01 6000 1e01 4000"),
	BAD_ANSWER("tlv_duplicate_verdict", TLV_DUPLICATE, HEAD("03") "c101 0000 c101 0000"),
	BAD_ANSWER("tlv_duplicate_supported", TLV_DUPLICATE, HEAD("05") SUPPORTED SUPPORTED),
	BAD_ANSWER("tlv_duplicate_extended_header", TLV_DUPLICATE,
		HEAD("07") EXTENDED_HEADER EXTENDED_HEADER),

	UNSUPPORTED("tlv_reserved", TLV_RESERVED, HEAD("02") "0001 0000", "04", "03"),
	UNSUPPORTED("tlv_reserved_zeros", TLV_RESERVED,
		HEAD("07") CONNECT_V4 "00000000", "09", "08"),
	BAD_ANSWER("tlv_reserved_answer", TLV_RESERVED, HEAD("03") "c101 0000 0001 0000"),

	UNSUPPORTED("tlv_unknown", TLV_UNKNOWN, HEAD("02") "0201 0000", "04", "03"),
	UNSUPPORTED("tlv_unknown_private", TLV_UNKNOWN,
		HEAD("07") CONNECT_V4 "c201 0000", "09", "08"),
	UNSUPPORTED("tlv_unknown_last_type", TLV_UNKNOWN, HEAD("03") INFO "ff01 0000", "05", "04"),
	BAD_ANSWER("tlv_unknown_answer", TLV_UNKNOWN, HEAD("03") "c101 0000 c201 0000"),

	UNSUPPORTED("tlv_misplaced_error", TLV_MISPLACED, HEAD("02") "1e01 6000", "04", "03"),
	UNSUPPORTED("tlv_misplaced_supported", TLV_MISPLACED, HEAD("03") SUPPORTED, "05", "04"),
	UNSUPPORTED("tlv_misplaced_extended_header", TLV_MISPLACED,
		HEAD("09") CONNECT_V4 EXTENDED_HEADER, "0b", "0a"),
	UNSUPPORTED("tlv_misplaced_verdict", TLV_MISPLACED,
		HEAD("03") INFO "c101 0000", "05", "04"),
	BAD_ANSWER("tlv_misplaced_info", TLV_MISPLACED, HEAD("02") INFO),
	BAD_ANSWER("tlv_misplaced_cookie", TLV_MISPLACED, HEAD("04") COOKIE),

	UNSUPPORTED("no_request", NO_REQUEST, HEAD("04") COOKIE, "06", "05"),
	UNSUPPORTED("no_request_echo", NO_REQUEST, HEAD("04") ECHO("01"), "06", "05"),

	BAD_SERVER("connect_address_v4_multicast", "0050", "00000000 00000000 0000ffff e0000001"),
	BAD_SERVER("connect_address_v4_broadcast", "0050", "00000000 00000000 0000ffff ffffffff"),
	BAD_SERVER("connect_address_v4_loopback", "0050", "00000000 00000000 0000ffff 7f000001"),
	BAD_SERVER("connect_address_v4_unspecified", "0050", "00000000 00000000 0000ffff 00000000"),
	BAD_SERVER("connect_address_v6_multicast", "0050", "ff020000 00000000 00000000 00000001"),
	BAD_SERVER("connect_address_v6_loopback", "0050", "00000000 00000000 00000000 00000001"),
	BAD_SERVER("connect_address_v6_unspecified", "0050", "00000000 00000000 00000000 00000000"),
	BAD_SERVER("connect_address_v4_compatible", "0050", "00000000 00000000 00000000 c0000201"),
	BAD_SERVER("connect_address_port_zero", "0000", "00000000 00000000 0000ffff c0000201"),

	MALFORMED("tcp_option_malformed_length_zero", TCP_OPTION_MALFORMED,
		HEAD("07") CONNECT_EXT("06", "0400 0000"), "09", "08"),
	MALFORMED("tcp_option_malformed_length_one", TCP_OPTION_MALFORMED,
		HEAD("07") CONNECT_EXT("06", "0401 0000"), "09", "08"),
	MALFORMED("tcp_option_malformed_overrun", TCP_OPTION_MALFORMED,
		HEAD("07") CONNECT_EXT("06", "0205 05b4"), "09", "08"),
	MALFORMED("tcp_option_malformed_no_length", TCP_OPTION_MALFORMED,
		HEAD("07") CONNECT_EXT("06", "010101 04"), "09", "08"),
	MALFORMED("tcp_option_malformed_padding", TCP_OPTION_MALFORMED,
		HEAD("07") CONNECT_EXT("06", "0402 0001"), "09", "08"),
	/* no list of unsupported kinds could be complete */
	MALFORMED("tcp_option_malformed_behind_unsupported", TCP_OPTION_MALFORMED,
		HEAD("07") CONNECT_EXT("06", "2202 0401"), "09", "08"),

	BAD("tcp_option_unsupported_fast_open", TCP_OPTION_UNSUPPORTED,
		HEAD("07") CONNECT_EXT("06", "2202 0000"), HEAD("02") "1e01 21 22"),
	BAD("tcp_option_unsupported_fast_open_cookie", TCP_OPTION_UNSUPPORTED,
		HEAD("09") CONNECT_EXT("08", "220a 0011223344556677 0000"),
		HEAD("02") "1e01 21 22"),
	/* RFC 8803 7.7 */
	BAD("tcp_option_unsupported_ao", TCP_OPTION_UNSUPPORTED,
		HEAD("07") CONNECT_EXT("06", "1d04 0101"), HEAD("02") "1e01 21 1d"),
	BAD("tcp_option_unsupported_sack_permitted_value", TCP_OPTION_UNSUPPORTED,
		HEAD("07") CONNECT_EXT("06", "040300 00"), HEAD("02") "1e01 21 04"),
	/* RFC 8803 7.4 */
	BAD("tcp_option_unsupported_timestamp_value", TCP_OPTION_UNSUPPORTED,
		HEAD("09") CONNECT_EXT("08", "080a 0000000100000000 0000"),
		HEAD("02") "1e01 21 08"),
	/* RFC 8803 7.5 */
	BAD("tcp_option_unsupported_mptcp_value", TCP_OPTION_UNSUPPORTED,
		HEAD("07") CONNECT_EXT("06", "1e04 0181"), HEAD("02") "1e01 21 1e"),
	BAD("tcp_option_unsupported_list", TCP_OPTION_UNSUPPORTED,
		HEAD("08") CONNECT_EXT("07", "2202 0402 fd02 2202"),
		HEAD("03") "1e02 21 22 fd000000"),
};

#endif
