/* SPDX-License-Identifier: ISC */
#include "testing.h"

#include "base/cursor.h"

static const uint8_t count[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void test_read_network_order(void **state)
{
	struct rd r = rd_init(count, sizeof(count));

	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x04050607);
	assert_true(rd_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_int_equal(rd_left(&r), 0);
	assert_false(r.failed);
}

/* The sign bit of a byte must not spread. */
static void test_read_all_ones(void **state)
{
	uint8_t ones[15];
	memset(ones, 0xff, sizeof(ones));
	struct rd r = rd_init(ones, sizeof(ones));

	assert_int_equal(rd_u8(&r), UINT8_MAX);
	assert_int_equal(rd_u16(&r), UINT16_MAX);
	assert_true(rd_u32(&r) == UINT32_MAX);
	assert_true(rd_u64(&r) == UINT64_MAX);
}

static void test_read_beyond_end_is_zero_and_sticks(void **state)
{
	const struct bytes b = bytes_copy(count, 3);
	struct rd r = rd_init(b.p, b.len);

	assert_int_equal(rd_u32(&r), 0x01020000);
	assert_true(r.failed);
	assert_int_equal(rd_left(&r), 0);
	assert_int_equal(rd_u8(&r), 0); /* although a byte is left */
	assert_null(rd_bytes(&r, 0));
	assert_true(rd_sub(&r, 0).failed);
	free(b.p);
}

static void test_read_each_width_at_the_end(void **state)
{
	for (size_t len = 0; len < 8; len++) {
		const struct bytes b = bytes_copy(count, len);
		struct rd r8 = rd_init(b.p, len), r16 = r8, r32 = r8, r64 = r8;

		rd_u8(&r8);
		rd_u16(&r16);
		rd_u32(&r32);
		rd_u64(&r64);
		assert_int_equal(r8.failed, len < 1);
		assert_int_equal(r16.failed, len < 2);
		assert_int_equal(r32.failed, len < 4);
		assert_true(r64.failed);
		free(b.p);
	}
}

static void test_read_bytes_stay_in_place(void **state)
{
	struct rd r = rd_init(count, sizeof(count));

	assert_ptr_equal(rd_bytes(&r, 5), count);
	assert_ptr_equal(rd_bytes(&r, 0), count + 5);
	assert_ptr_equal(rd_bytes(&r, 10), count + 5);
	assert_false(r.failed);
	assert_null(rd_bytes(&r, SIZE_MAX));
	assert_true(r.failed);
}

static void test_sub_reader_is_bounded(void **state)
{
	struct rd r = rd_init(count, sizeof(count));
	struct rd sub = rd_sub(&r, 2);

	assert_int_equal(rd_left(&sub), 2);
	assert_int_equal(rd_u16(&sub), 0x0102);
	assert_int_equal(rd_u8(&sub), 0);
	assert_true(sub.failed);
	assert_false(r.failed); /* what fails in the body does not fail its reader */
	assert_int_equal(rd_u8(&r), 3);
}

static void test_sub_reader_beyond_end_fails_both(void **state)
{
	struct rd r = rd_init(count, 3);
	struct rd sub = rd_sub(&r, 4);

	assert_true(sub.failed);
	assert_true(r.failed);
	assert_int_equal(rd_left(&sub), 0);
	assert_int_equal(rd_u8(&sub), 0);
}

static void test_write_network_order(void **state)
{
	uint8_t out[sizeof(count)];
	struct wr w = wr_init(out, sizeof(out));

	wr_u8(&w, 0x01);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_u64(&w, 0x08090a0b0c0d0e0f);
	assert_false(w.failed);
	assert_int_equal(wr_len(&w), sizeof(count));
	assert_memory_equal(out, count, sizeof(count));
}

static void test_write_beyond_end_does_nothing_and_sticks(void **state)
{
	uint8_t out[4] = { 0xaa, 0xaa, 0xaa, 0xaa };
	static const uint8_t expected[4] = { 1, 0xaa, 0xaa, 0xaa };
	struct wr w = wr_init(out, 2);

	wr_u8(&w, 1);
	wr_u16(&w, 0xffff);
	assert_true(w.failed);
	wr_u8(&w, 2); /* although a byte would fit */
	wr_bytes(&w, count, 1);
	assert_null(wr_room(&w, 0));
	assert_int_equal(wr_len(&w), 1);
	assert_memory_equal(out, expected, sizeof(out));
}

static void test_write_bytes_and_room(void **state)
{
	uint8_t out[5];
	struct wr w = wr_init(out, sizeof(out));

	wr_bytes(&w, count, 2);
	wr_bytes(&w, NULL, 0);
	uint8_t *const room = wr_room(&w, 3);
	assert_ptr_equal(room, out + 2);
	memcpy(room, count + 2, 3);
	assert_int_equal(wr_len(&w), 5);
	assert_false(w.failed);
	assert_memory_equal(out, count, sizeof(out));
	assert_null(wr_room(&w, SIZE_MAX));
	assert_true(w.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_network_order),
		cmocka_unit_test(test_read_all_ones),
		cmocka_unit_test(test_read_beyond_end_is_zero_and_sticks),
		cmocka_unit_test(test_read_each_width_at_the_end),
		cmocka_unit_test(test_read_bytes_stay_in_place),
		cmocka_unit_test(test_sub_reader_is_bounded),
		cmocka_unit_test(test_sub_reader_beyond_end_fails_both),
		cmocka_unit_test(test_write_network_order),
		cmocka_unit_test(test_write_beyond_end_does_nothing_and_sticks),
		cmocka_unit_test(test_write_bytes_and_room),
	};
	return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
