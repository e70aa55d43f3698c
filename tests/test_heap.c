// The heap as heapwhy sees it, on heaps in miniature: which slots are allocated, which words are
// pointers, by every mechanism that Go has had, and what damage does.
#include "test.h"

#include "heap_image.h"

#include "goruntime/runtime_private.h"

static const char *const versions[] = {"go1.19.8", "go1.20.12", "go1.21.13", "go1.22.12",
	"go1.23.5", "go1.24.4", "go1.25.12", "go1.26.11", "go1.27.4"};

// --- Gathering pointer words

enum { WORDS_MAX = 1 << 19 };

struct gathered {
	uint64_t bits[WORDS_MAX / 64]; // of the watched object
	object_id object;
	uint64_t groups;
	struct heap_image *image;
};

static bool gather(void *context, const struct word_group *group)
{
	struct gathered *gathered = context;
	remote_addr address = heap_address(gathered->image->heap, group->object) + group->offset;

	assert_true(group->count >= 1 && group->count <= 64);
	assert_true(group->pointers && !(group->pointers & ~bits_low(group->count)));
	assert_memory_equal(
		group->words, heap_image_at(gathered->image, address), group->count * 8);
	gathered->groups++;
	if (group->object == gathered->object)
		bits_or(gathered->bits, group->offset / 8, group->pointers, group->count);
	return true;
}

// Whether the pointer words of `object` are those that `expect` tells, however they are asked for.
typedef bool (*expectation)(uint64_t word);

static void check_pointers(struct heap_image *image, object_id object, expectation expect)
{
	const struct span *span = heap_span_of(image->heap, object);
	struct gathered *gathered = calloc(1, sizeof(*gathered));
	struct heap_reader *reader;

	assert_non_null(gathered);
	gathered->object = object;
	gathered->image = image;
	assert_success(heap_reader_create(image->heap, &reader));
	for (int way = 0; way < 2; way++) {
		memset(gathered->bits, 0, sizeof(gathered->bits));
		if (way == 0)
			assert_true(heap_scan_span(reader, span, NULL, gather, gathered));
		else
			assert_true(heap_scan_object(reader, object, gather, gathered));
		for (uint64_t word = 0; word < span->elem_size / 8; word++) {
			if (heap_bit(gathered->bits, word) != expect(word))
				fail_msg("way %d: word %d of %d", way, (int)word,
					(int)span->elem_size / 8);
		}
	}
	// Read again, and as kept by a scan.
	for (int way = 0; way < 2; way++) {
		if (way == 1) {
			assert_success(heap_keep_pointer_bits(image->heap));
			assert_true(heap_scan_span(reader, span, NULL, gather, gathered));
		}
		for (uint64_t word = 0; word < span->elem_size / 8; word += 13) {
			uint64_t bits = heap_pointer_bits(reader, span, object, word);

			for (uint64_t i = 0; i < 64 && word + i < span->elem_size / 8; i++)
				assert_int_equal(bits >> i & 1, expect(word + i));
		}
	}
	heap_forget_pointer_bits(image->heap);
	assert_int_equal(heap_reader_faults(reader), 0);
	heap_reader_destroy(reader);
	free(gathered);
}

// --- Expectations

static bool every_third(uint64_t word)
{
	return word % 3 == 1;
}

static bool first_five(uint64_t word)
{
	return word < 5 && word != 2;
}

// An 8-byte header, then values of 7 words of which words 0 and 4 are pointers.
static bool seven_after_header(uint64_t word)
{
	return word && ((word - 1) % 7 == 0 || (word - 1) % 7 == 4);
}

static bool seven(uint64_t word)
{
	return word % 7 == 0 || word % 7 == 4;
}

static bool none(uint64_t word)
{
	return false;
}

static void set_pointers(
	struct heap_image *image, const struct image_span *span, uint32_t slot, expectation expect)
{
	uint64_t words = span->elem_size / 8;

	for (uint64_t word = 0; word < words; word++) {
		if (expect(word))
			heap_image_pointer(image, span, slot * words + word);
	}
}

static void fill(struct heap_image *image, const struct image_span *span, uint32_t slot)
{
	remote_addr object = span->base + (uint64_t)slot * span->elem_size;

	for (uint64_t offset = 0; offset < span->elem_size; offset += 8)
		heap_image_store(image, object + offset, (object + offset) * 3, 8);
}

// --- Pointer words

static void test_small_objects(void **state)
{
	static const uint32_t sizes[] = {8, 16, 24, 48, 112, 208, 512};

	for (size_t v = 0; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;
		struct image_span *spans[ARRAY_COUNT(sizes)];

		heap_image_init(&image, versions[v]);
		bool two_bit = image.runtime.layout.pointer_bits == POINTER_BITS_TWO_BIT_ARENA;
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			spans[i] = heap_image_span(&image, (uint32_t)i, 1, sizes[i], false);
			for (uint32_t slot = 0; slot < spans[i]->count; slot += 3) {
				uint64_t words = sizes[i] / 8;

				heap_image_allocate(&image, spans[i], slot);
				fill(&image, spans[i], slot);
				set_pointers(&image, spans[i], slot, every_third);
				for (uint64_t word = 0; two_bit && word < words; word++)
					heap_image_scan_on(&image, spans[i], slot * words + word);
			}
		}
		heap_image_open(&image);
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			object_id first = heap_find(image.heap, spans[i]->base);

			check_pointers(&image, first, every_third);
			check_pointers(&image, first + (spans[i]->count - 1) / 3 * 3, every_third);
			check_pointers(&image, first + 3, every_third);
		}
		heap_image_deinit(&image);
	}
}

// go 1.19: what follows the first word without its scan bit is left over from earlier objects.
static void test_two_bit_end(void **state)
{
	struct heap_image image;

	heap_image_init(&image, "go1.19.8");
	struct image_span *small = heap_image_span(&image, 0, 1, 512, false);
	struct image_span *large = heap_image_span(&image, 1, 300, 300 * GO_PAGE_SIZE, false);
	heap_image_allocate(&image, small, 1);
	heap_image_allocate(&image, large, 0);
	for (uint64_t word = 0; word < 64; word++) {
		if (word >= 5 || first_five(word))
			heap_image_pointer(&image, small, 64 + word);
		if (word < 5)
			heap_image_scan_on(&image, small, 64 + word);
	}
	for (uint64_t word = 0; word < (uint64_t)large->elem_size / 8; word++) {
		if (word < 5)
			heap_image_scan_on(&image, large, word);
		if (first_five(word) || word == 200000)
			heap_image_pointer(&image, large, word);
	}
	heap_image_open(&image);
	check_pointers(&image, heap_find(image.heap, small->base + 512), first_five);

	struct heap_reader *reader;
	struct gathered *gathered = calloc(1, sizeof(*gathered));
	assert_non_null(gathered);
	gathered->image = &image;
	gathered->object = heap_find(image.heap, large->base);
	assert_success(heap_reader_create(image.heap, &reader));
	assert_true(heap_scan_object(reader, gathered->object, gather, gathered));
	for (uint64_t word = 0; word < (uint64_t)large->elem_size / 8; word++)
		assert_int_equal(heap_bit(gathered->bits, word), first_five(word));
	heap_reader_destroy(reader);
	free(gathered);
	heap_image_deinit(&image);
}

static void test_large_objects_by_arena(void **state)
{
	for (size_t v = 0; v < 3; v++) {
		struct heap_image image;

		heap_image_init(&image, versions[v]);
		// Longer than a reader's window, and not a multiple of it.
		struct image_span *span =
			heap_image_span(&image, 3, 333, 333 * GO_PAGE_SIZE, false);
		heap_image_allocate(&image, span, 0);
		fill(&image, span, 0);
		set_pointers(&image, span, 0, every_third);
		for (uint64_t word = 0; v == 0 && word < span->elem_size / 8; word++)
			heap_image_scan_on(&image, span, word);
		heap_image_open(&image);
		check_pointers(&image, heap_find(image.heap, span->base + 100000), every_third);
		heap_image_deinit(&image);
	}
}

static void test_headers(void **state)
{
	static const uint32_t sizes[] = {576, 1024, 8192, 32768};

	for (size_t v = 3; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;
		struct image_span *spans[ARRAY_COUNT(sizes)];

		heap_image_init(&image, versions[v]);
		remote_addr type = heap_image_type(&image, 7, 5, (uint64_t[]){1 | 1 << 4});
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			spans[i] = heap_image_span(&image, (uint32_t)i * 4, 4, sizes[i], false);
			heap_image_allocate(&image, spans[i], 0);
			fill(&image, spans[i], 0);
			heap_image_store(&image, spans[i]->base, type, 8);
		}
		heap_image_open(&image);
		for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
			object_id object = heap_find(image.heap, spans[i]->base);

			check_pointers(&image, object, seven_after_header);
			assert_int_equal(heap_span_of(image.heap, object)->header_bytes, 8);
		}
		heap_image_deinit(&image);
	}
}

static void test_large_types(void **state)
{
	for (size_t v = 3; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;

		heap_image_init(&image, versions[v]);
		remote_addr type = heap_image_type(&image, 7, 5, (uint64_t[]){1 | 1 << 4});
		struct image_span *span =
			heap_image_span(&image, 0, 333, 333 * GO_PAGE_SIZE, false);
		struct image_span *untyped =
			heap_image_span(&image, 333, 5, 5 * GO_PAGE_SIZE, false);
		heap_image_allocate(&image, span, 0);
		heap_image_allocate(&image, untyped, 0);
		fill(&image, span, 0);
		heap_image_store(&image,
			span->mspan + (uint32_t)image.runtime.layout.at.mspan_largeType, type, 8);
		heap_image_open(&image);
		check_pointers(&image, heap_find(image.heap, span->base), seven);
		check_pointers(&image, heap_find(image.heap, untyped->base), none);
		heap_image_deinit(&image);
	}
}

// [50]struct{ a [2]T; b uint64; c T } with T of 7 words: no mask yet, as before the collector first
// meets it.
static bool nested(uint64_t word)
{
	uint64_t element, inside;

	if (!word || --word >= 50 * 22)
		return false;
	element = word % 22;
	inside = element < 14 ? element % 7 : element < 15 ? 1 : element - 15;
	return inside == 0 || inside == 4;
}

static remote_addr type_on_demand(
	struct heap_image *image, uint64_t words, uint64_t pointer_words, uint8_t kind)
{
	remote_addr type = heap_image_room(image, 48 + 32);
	remote_addr slot = heap_image_room(image, 8);

	heap_image_store(image, type, words * 8, 8);
	heap_image_store(image, type + 8, pointer_words * 8, 8);
	heap_image_store(image, type + 20, 16, 1);
	heap_image_store(image, type + 23, kind, 1);
	heap_image_store(image, type + 32, slot, 8);
	return type;
}

static remote_addr array_on_demand(
	struct heap_image *image, remote_addr elem, uint64_t elem_words, uint64_t length)
{
	remote_addr type = type_on_demand(image, elem_words * length, elem_words * length, 17);

	heap_image_store(image, type + 48, elem, 8);
	heap_image_store(image, type + 64, length, 8);
	return type;
}

static void test_masks_on_demand(void **state)
{
	for (size_t v = 5; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;

		heap_image_init(&image, versions[v]);
		remote_addr word = heap_image_type(&image, 1, 0, (uint64_t[]){0});
		remote_addr value = heap_image_type(&image, 7, 5, (uint64_t[]){1 | 1 << 4});
		remote_addr pair = array_on_demand(&image, value, 7, 2);
		remote_addr record = type_on_demand(&image, 22, 20, 25);
		remote_addr fields = heap_image_room(&image, 3 * 24);
		const struct {
			remote_addr type;
			uint64_t offset;
		} members[] = {{pair, 0}, {word, 14 * 8}, {value, 15 * 8}};

		heap_image_store(&image, record + 56, fields, 8);
		heap_image_store(&image, record + 64, 3, 8);
		for (size_t i = 0; i < 3; i++) {
			heap_image_store(&image, fields + i * 24 + 8, members[i].type, 8);
			heap_image_store(&image, fields + i * 24 + 16, members[i].offset, 8);
		}
		remote_addr type = array_on_demand(&image, record, 22, 50);
		struct image_span *span = heap_image_span(&image, 0, 4, 16384, false);
		heap_image_allocate(&image, span, 0);
		fill(&image, span, 0);
		heap_image_store(&image, span->base, type, 8);
		heap_image_open(&image);
		// Behind the array the pattern goes on, as the collector tiles it too.
		struct heap_reader *reader;
		assert_success(heap_reader_create(image.heap, &reader));
		for (uint64_t i = 0; i < 1 + 50 * 22; i++)
			assert_int_equal(heap_pointer_bits(reader, &image.heap->spans[0], 0, i) & 1,
				nested(i));
		assert_int_equal(heap_reader_faults(reader), 0);
		heap_reader_destroy(reader);
		heap_image_deinit(&image);
	}
}

// --- Which slots are allocated

static void set_index(
	struct heap_image *image, const struct image_span *span, uint64_t free, uint64_t scan)
{
	const struct layout *layout = &image->runtime.layout;
	size_t narrow = layout->pointer_bits == POINTER_BITS_HEADER ? 2 : 8;

	heap_image_store(image, span->mspan + (uint32_t)layout->at.mspan_freeindex, free, narrow);
	heap_image_store(
		image, span->mspan + (uint32_t)layout->at.mspan_freeIndexForScan, scan, narrow);
}

static void set_generation(
	struct heap_image *image, const struct image_span *span, uint32_t generation)
{
	heap_image_store(image, span->mspan + (uint32_t)image->runtime.layout.at.mspan_sweepgen,
		generation, 4);
}

static void set_mark(struct heap_image *image, const struct image_span *span, uint32_t slot)
{
	const struct layout *layout = &image->runtime.layout;
	remote_addr bits = span->mark_bits;

	if (layout->inline_mark_bits && span->elem_size >= 16 && span->elem_size <= 512)
		bits = span->base + GO_PAGE_SIZE - 64;
	*(uint8_t *)heap_image_at(image, bits + slot / 8) |= 1 << slot % 8;
}

// Slot by slot: A allocated before the last collection, F since, . free.
static void check_slots(
	struct heap_image *image, const struct image_span *span, const char *expected)
{
	object_id first = heap_find(image->heap, span->base);

	for (uint32_t slot = 0; slot < span->count; slot++) {
		char expect = slot < strlen(expected) ? expected[slot] : '.';
		char is = !heap_bit(image->heap->allocated, first + slot) ? '.'
			  : heap_bit(image->heap->fresh, first + slot)    ? 'F'
									  : 'A';

		if (is != expect)
			fail_msg("%s: slot %u is %c, not %c", image->runtime.layout.at.version,
				slot, is, expect);
		assert_int_equal(heap_bit(image->heap->marked, first + slot), is == 'A');
	}
}

static void test_allocated_slots(void **state)
{
	for (size_t v = 0; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;

		heap_image_init(&image, versions[v]);
		struct image_span *swept = heap_image_span(&image, 0, 1, 64, true);
		struct image_span *cached = heap_image_span(&image, 1, 1, 1024, true);
		struct image_span *unswept = heap_image_span(&image, 2, 1, 64, false);
		struct image_span *stale = heap_image_span(&image, 3, 1, 8, true);
		struct image_span *sweeping = heap_image_span(&image, 4, 1, 48, true);
		struct image_span *done = heap_image_span(&image, 5, 1, 48, true);
		struct image_span *large = heap_image_span(&image, 6, 5, 5 * GO_PAGE_SIZE, true);

		heap_image_allocate(&image, swept, 1);
		heap_image_allocate(&image, swept, 5);
		set_index(&image, swept, 3, 3);
		heap_image_allocate(&image, cached, 4);
		set_index(&image, cached, 6, 3);
		set_generation(&image, cached, IMAGE_GENERATION + 3);
		for (uint32_t slot = 0; slot < 6; slot++) {
			heap_image_allocate(&image, unswept, slot);
			heap_image_allocate(&image, stale, slot);
			heap_image_allocate(&image, sweeping, slot);
			heap_image_allocate(&image, done, slot);
		}
		set_generation(&image, unswept, IMAGE_GENERATION - 2);
		set_mark(&image, unswept, 2);
		set_generation(&image, stale, IMAGE_GENERATION + 1);
		set_mark(&image, stale, 4);
		set_index(&image, stale, 8, 8);
		set_generation(&image, sweeping, IMAGE_GENERATION - 1);
		set_mark(&image, sweeping, 0);
		set_index(&image, sweeping, 6, 6);
		set_generation(&image, done, IMAGE_GENERATION - 1);
		set_index(&image, large, 1, 1);
		heap_image_open(&image);

		check_slots(&image, swept, "FAF..A");
		check_slots(&image, cached, "FFF.A");
		check_slots(&image, unswept, "..A");
		check_slots(&image, stale, "....A");
		check_slots(&image, sweeping, "A");
		check_slots(&image, done, "AAAAAA");
		check_slots(&image, large, "F");
		assert_int_equal(image.heap->in_flight, 2);
		assert_int_equal(image.heap->dead_count, 5 + 7 + 5);
		assert_int_equal(image.heap->allocated_count, 4 + 4 + 1 + 1 + 1 + 6 + 1);
		assert_int_equal(image.heap->allocated_bytes,
			4 * 64 + 4 * 1024 + 64 + 8 + 48 + 6 * 48 + 5 * GO_PAGE_SIZE);
		heap_image_deinit(&image);
	}
}

// While a collection marks, freeIndexForScan stands still and new objects are marked at once.
static void test_allocated_while_marking(void **state)
{
	for (size_t v = 0; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;

		heap_image_init(&image, versions[v]);
		image.runtime.gc_phase = GC_MARK;
		struct image_span *span = heap_image_span(&image, 0, 1, 64, false);
		heap_image_allocate(&image, span, 1);
		set_index(&image, span, 5, 2);
		set_mark(&image, span, 2);
		set_mark(&image, span, 4);
		heap_image_open(&image);
		check_slots(&image, span, "FAF.F");
		assert_int_equal(image.heap->in_flight, 1);
		heap_image_deinit(&image);
	}
}

// An unmarked object with a finalizer will be kept by the sweeper to run it.
static void test_revived(void **state)
{
	for (size_t v = 0; v < ARRAY_COUNT(versions); v++) {
		struct heap_image image;

		heap_image_init(&image, versions[v]);
		const struct layout *layout = &image.runtime.layout;
		struct image_span *span = heap_image_span(&image, 0, 1, 64, false);
		remote_addr special = heap_image_room(&image, 64);
		heap_image_allocate(&image, span, 1);
		heap_image_allocate(&image, span, 3);
		set_generation(&image, span, IMAGE_GENERATION - 2);
		heap_image_store(
			&image, special + (uint32_t)layout->at.special_offset, 3 * 64 + 8, 2);
		heap_image_store(&image, special + (uint32_t)layout->at.special_kind,
			layout->special_finalizer, 1);
		heap_image_store(
			&image, span->mspan + (uint32_t)layout->at.mspan_specials, special, 8);
		heap_image_open(&image);
		check_slots(&image, span, "...F");
		heap_image_deinit(&image);
	}
}

// --- Addresses

static void test_find(void **state)
{
	struct heap_image image;

	heap_image_init(&image, "go1.22.12");
	// In no order; page 3 belongs to nobody.
	struct image_span *large = heap_image_span(&image, 4, 8, 8 * GO_PAGE_SIZE, false);
	struct image_span *three = heap_image_span(&image, 0, 3, 3072, true);
	struct image_span *small = heap_image_span(&image, 12, 1, 48, false);
	heap_image_store(&image, large->mspan + (uint32_t)image.runtime.layout.at.mspan_limit,
		large->base + 60000, 8);
	heap_image_open(&image);
	const struct heap *heap = image.heap;

	assert_int_equal(heap->object_count, 8 + 1 + small->count);
	for (object_id id = 0; id < heap->object_count; id++) {
		const struct span *span = heap_span_of(heap, id);
		remote_addr address = heap_address(heap, id);
		remote_addr last = address + heap_size(heap, id) - 1;

		assert_int_equal(heap_find(heap, address), id);
		assert_int_equal(heap_find(heap, last < span->limit ? last : span->limit - 1), id);
		assert_ptr_equal(heap_span(heap, address), span);
	}
	assert_int_equal(heap_find(heap, large->base + 59999), 8);
	assert_int_equal(heap_find(heap, large->base + 60000), OBJECT_NONE);
	assert_int_equal(heap_find(heap, three->base + 3 * GO_PAGE_SIZE - 1), 7);
	assert_int_equal(heap_find(heap, three->base + 3 * GO_PAGE_SIZE), OBJECT_NONE);
	assert_int_equal(heap_find(heap, small->base + small->count * 48), OBJECT_NONE);
	assert_int_equal(heap_find(heap, small->base + GO_PAGE_SIZE), OBJECT_NONE);
	assert_int_equal(heap_find(heap, 0), OBJECT_NONE);
	assert_int_equal(heap_find(heap, UINT64_MAX), OBJECT_NONE);
	assert_int_equal(heap_find(heap, IMAGE_HEAP - 1), OBJECT_NONE);
	assert_int_equal(heap_find(heap, IMAGE_HEAP + (UINT64_C(1) << 48)), OBJECT_NONE);
	heap_image_deinit(&image);
}

// The division by multiplication must agree with the real one for every size class and offset.
static void test_division(void **state)
{
	for (uint32_t size = 8; size <= 32768; size += 8) {
		uint32_t pages = size <= 1024 ? 1 : 10;
		struct heap_page page = {.magic = UINT32_MAX / size + 1};

		for (uint32_t at = 0; at < pages; at++) {
			page.back = (uint16_t)at;
			for (uint32_t offset = 0; offset < GO_PAGE_SIZE; offset += 1 + size / 16)
				assert_int_equal(heap_page_slot(&page, offset),
					(at * GO_PAGE_SIZE + offset) / size);
		}
	}
}

// --- Damage

static void test_damaged_spans(void **state)
{
	struct heap_image image;

	heap_image_init(&image, "go1.27.4");
	const struct layout_offsets *at = &image.runtime.layout.at;
	struct image_span *good = heap_image_span(&image, 0, 1, 64, true);
	struct image_span *bad[8];
	for (uint32_t i = 0; i < 8; i++)
		bad[i] = heap_image_span(&image, 1 + i, 1, 64, true);
	heap_image_store(
		&image, bad[0]->mspan + (uint32_t)at->mspan_npages, UINT64_MAX / GO_PAGE_SIZE, 8);
	heap_image_store(&image, bad[1]->mspan + (uint32_t)at->mspan_startAddr, good->base, 8);
	heap_image_store(&image, bad[2]->mspan + (uint32_t)at->mspan_elemsize, 0, 8);
	heap_image_store(&image, bad[3]->mspan + (uint32_t)at->mspan_nelems, 60000, 2);
	heap_image_store(&image, bad[4]->mspan + (uint32_t)at->mspan_state, 77, 1);
	heap_image_store(&image, bad[5]->mspan + (uint32_t)at->mspan_sweepgen, 1000, 4);
	heap_image_store(&image, bad[6]->mspan + (uint32_t)at->mspan_startAddr,
		UINT64_MAX - GO_PAGE_SIZE + 1, 8);
	heap_image_store(&image, bad[7]->mspan + (uint32_t)at->mspan_allocBits, 1, 8);
	heap_image_allocate(&image, good, 2);
	heap_image_open(&image);
	assert_int_equal(image.heap->skipped_spans, 7);
	assert_int_equal(image.heap->allocated_count, 1);
	check_slots(&image, good, "..A");
	heap_image_deinit(&image);
}

static void test_damaged_types(void **state)
{
	struct heap_image image;
	struct heap_reader *reader;
	struct gathered *gathered = calloc(1, sizeof(*gathered));

	assert_non_null(gathered);
	heap_image_init(&image, "go1.27.4");
	gathered->image = &image;
	gathered->object = OBJECT_NONE;
	remote_addr itself = array_on_demand(&image, 0, 1, 10);
	heap_image_store(&image, itself + 48, itself, 8);
	remote_addr endless = type_on_demand(&image, 10, 10, 25);
	heap_image_store(&image, endless + 64, UINT64_MAX, 8);
	const remote_addr types[] = {
		1,
		UINT64_MAX - 8,
		itself,
		endless,
		heap_image_type(&image, 0, 0, (uint64_t[]){0}),
		heap_image_type(&image, UINT64_MAX / 8, 1, (uint64_t[]){1}),
		heap_image_type(&image, 4, 64, (uint64_t[]){1}),
	};
	struct image_span *span = heap_image_span(&image, 0, 1, 1024, false);
	for (uint32_t i = 0; i < ARRAY_COUNT(types); i++) {
		heap_image_allocate(&image, span, i);
		heap_image_store(&image, span->base + i * 1024, types[i], 8);
	}
	heap_image_open(&image);
	assert_success(heap_reader_create(image.heap, &reader));
	assert_true(heap_scan_span(reader, &image.heap->spans[0], NULL, gather, gathered));
	assert_int_equal(gathered->groups, 0);
	assert_true(heap_reader_faults(reader) >= ARRAY_COUNT(types));
	heap_reader_destroy(reader);
	heap_image_deinit(&image);
	free(gathered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_objects),
		cmocka_unit_test(test_two_bit_end),
		cmocka_unit_test(test_large_objects_by_arena),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_large_types),
		cmocka_unit_test(test_masks_on_demand),
		cmocka_unit_test(test_allocated_slots),
		cmocka_unit_test(test_allocated_while_marking),
		cmocka_unit_test(test_revived),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_division),
		cmocka_unit_test(test_damaged_spans),
		cmocka_unit_test(test_damaged_types),
	};

	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
