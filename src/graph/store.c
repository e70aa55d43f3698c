// Writing the compressed edge store. See store.h.
//
// Encoded edges live in blocks that never move, so lines can point into them, and each thread has
// its own. A line that is bigger than a block (arrays of millions of pointers) gets one to itself.
#include "graph/store.h"

#include "base/error.h"
#include "base/pages.h"
#include "graph/targets.h"

enum {
	BLOCK_BYTES = 32 << 20, // address space; memory is taken as it is filled
	BUFFER_KEPT = 1 << 20,
	VARINT_MAX = 5, // bytes of an encoded 32-bit number
};

static void blocks_deinit(struct edge_blocks *blocks)
{
	for (size_t i = 0; i < blocks->list.count; i++)
		pages_free(blocks->list.items[i].bytes, blocks->list.items[i].size);
	hw_vector_deinit(&blocks->list);
}

void store_init(struct store *store)
{
	*store = (struct store){0};
	hw_stable_vector_init(&store->odd_sizes, 0, NULL);
}

void store_deinit(struct store *store)
{
	blocks_deinit(&store->blocks);
	hw_stable_vector_deinit(&store->odd_sizes);
	pages_free(store->lines, store->line_count * sizeof(*store->lines));
	*store = (struct store){0};
}

bool store_resize(struct store *store, uint64_t nodes)
{
	uint64_t lines = (nodes + LINE_NODES - 1) / LINE_NODES;
	size_t bytes = lines * sizeof(*store->lines);
	struct node_line *moved;

	if (store->lines)
		moved = pages_resize(
			store->lines, store->line_count * sizeof(*store->lines), bytes);
	else
		moved = pages_alloc(NULL, bytes);
	if (!moved)
		return false;
	store->lines = moved;
	store->line_count = (uint32_t)lines;
	return true;
}

// The offsets are found by counting `inner` bits: those behind the node's own move up by one.
void store_forget(struct store *store, node_id node)
{
	struct node_line *line = store_line(store, node);
	size_t size = line->flags & LINE_WIDE ? sizeof(uint64_t) : sizeof(uint16_t);
	uint32_t rank = rank_in_line(line->inner, node);
	uint32_t behind = (uint32_t)__builtin_popcountll(line->inner) - rank - 1;
	uint8_t *offset = (uint8_t *)line->edges + rank * size;

	BUG_ON(!(line->inner & node_bit(node)));
	memmove(offset, offset + size, behind * size);
	line->inner &= ~node_bit(node);
}

// Turns a line with two sizes into one with a size of its own for every node.
static bool line_make_odd(struct store *store, struct node_line *line)
{
	size_t index = store->odd_sizes.count;

	if (!hw_stable_vector_reserve(&store->odd_sizes, LINE_NODES))
		return false;
	for (unsigned i = 0; i < LINE_NODES; i++)
		store->odd_sizes.items[index + i] = size_pack(line->sizes[i >= line->split]);
	store->odd_sizes.count += LINE_NODES;
	line->sizes[0] = (uint32_t)(index / LINE_NODES);
	line->flags |= LINE_ODD_SIZES;
	return true;
}

bool store_set_sizes(struct store *store, node_id node, uint64_t count, uint64_t size)
{
	while (count) {
		struct node_line *line = store_line(store, node);
		unsigned index = node % LINE_NODES, room = LINE_NODES - index;
		unsigned here = count < room ? (unsigned)count : room;

		if (!(line->flags & LINE_ODD_SIZES)) {
			if (!index && size <= UINT32_MAX) {
				line->sizes[0] = (uint32_t)size;
				line->split = (uint8_t)here;
			} else if (index == line->split && size == line->sizes[0]) {
				line->split = (uint8_t)(line->split + here);
			} else if (index == line->split && size <= UINT32_MAX) {
				line->sizes[1] = (uint32_t)size;
				// A third size must not be taken for the second one.
				if (here < room && !line_make_odd(store, line))
					return false;
			} else if (!line_make_odd(store, line)) {
				return false;
			}
		}
		if (line->flags & LINE_ODD_SIZES)
			for (unsigned i = index; i < LINE_NODES; i++)
				store->odd_sizes.items[(size_t)line->sizes[0] * LINE_NODES + i] =
					i < index + here ? size_pack(size) : 0;
		node += here;
		count -= here;
	}
	return true;
}

uint64_t store_line_bytes(const struct store *store, uint32_t number, uint64_t bits)
{
	const struct node_line *line = &store->lines[number];

	if (!(line->flags & LINE_ODD_SIZES)) {
		uint64_t before =
			line->split == LINE_NODES ? ~UINT64_C(0) : (UINT64_C(1) << line->split) - 1;
		return (uint64_t)__builtin_popcountll(bits & before) * line->sizes[0] +
		       (uint64_t)__builtin_popcountll(bits & ~before) * line->sizes[1];
	}
	uint64_t bytes = 0;
	for (; bits; bits &= bits - 1)
		bytes += size_unpack(store->odd_sizes.items[(size_t)line->sizes[0] * LINE_NODES +
							    (size_t)__builtin_ctzll(bits)]);
	return bytes;
}

void line_writer_init(struct line_writer *writer, struct store *store)
{
	*writer = (struct line_writer){.store = store};
}

void line_writer_deinit(struct line_writer *writer)
{
	blocks_deinit(&writer->blocks);
	hw_vector_deinit(&writer->bytes);
}

static uint8_t *varint_write(uint8_t *at, uint32_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)(value | 0x80);
	*at++ = (uint8_t)value;
	return at;
}

bool line_writer_add(struct line_writer *writer, node_id node, const struct target_set *targets)
{
	if (node >> LINE_SHIFT != writer->line || !writer->inner) {
		if (!line_writer_flush(writer))
			return false;
		writer->line = node >> LINE_SHIFT;
	}
	size_t most = (targets->count + 1) * VARINT_MAX;
	// A dense set of a whole heap has differences of a byte or two: do not reserve for the
	// worst.
	if (!hw_vector_reserve(&writer->bytes, targets->dense ? VARINT_MAX * 2 : most))
		return false;

	writer->offsets[__builtin_popcountll(writer->inner)] = writer->bytes.count;
	writer->inner |= node_bit(node);
	uint8_t *start = writer->bytes.items + writer->bytes.count;
	uint8_t *at = varint_write(start, (uint32_t)targets->count);
	writer->bytes.count += (size_t)(at - start);

	size_t index = 0;
	node_id target, previous = node;
	for (bool first = true; target_set_next(targets, &index, &target); first = false) {
		if (targets->dense && !hw_vector_reserve(&writer->bytes, VARINT_MAX))
			return false;
		uint32_t delta = target - previous;
		if (first)
			delta = delta << 1 ^ -(delta >> 31);
		start = writer->bytes.items + writer->bytes.count;
		writer->bytes.count += (size_t)(varint_write(start, delta) - start);
		previous = target;
	}
	writer->edge_count += targets->count;
	return true;
}

static struct edge_block *blocks_last(const struct edge_blocks *blocks)
{
	return blocks->list.count ? &blocks->list.items[blocks->list.count - 1] : NULL;
}

// Room for `bytes` bytes that will not move. NULL: out of memory.
static uint8_t *blocks_take(struct edge_blocks *blocks, size_t bytes)
{
	struct edge_block *last = blocks_last(blocks);

	if (!last || last->size - last->used < bytes) {
		size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;

		if (!hw_vector_reserve(&blocks->list, 1))
			return NULL;
		last = blocks->list.items + blocks->list.count;
		*last = (struct edge_block){pages_alloc(NULL, size), size, 0};
		if (!last->bytes)
			return NULL;
		blocks->list.count++;
	}
	last->used += bytes;
	return last->bytes + last->used - bytes;
}

// What is left of the store's last block will do, when writers before this one have left some.
static uint8_t *line_writer_take(struct line_writer *writer, size_t bytes)
{
	struct edge_block *left = blocks_last(&writer->store->blocks);

	if (writer->blocks.list.count || !left || left->size - left->used < bytes)
		return blocks_take(&writer->blocks, bytes);
	left->used += bytes;
	return left->bytes + left->used - bytes;
}

bool line_writer_flush(struct line_writer *writer)
{
	unsigned nodes = (unsigned)__builtin_popcountll(writer->inner);

	if (!nodes)
		return true;
	struct node_line *line = &writer->store->lines[writer->line];
	size_t bytes = writer->bytes.count;
	bool wide = writer->offsets[nodes - 1] + nodes * sizeof(uint16_t) > UINT16_MAX;
	size_t header = nodes * (wide ? sizeof(uint64_t) : sizeof(uint16_t));
	uint8_t *edges = line_writer_take(writer, header + bytes);

	if (!edges)
		return false;
	memcpy(edges + header, writer->bytes.items, bytes);
	writer->bytes.count = 0;
	if (bytes > BUFFER_KEPT)
		hw_vector_deinit(&writer->bytes);
	for (unsigned i = 0; i < nodes; i++) {
		uint64_t offset = header + writer->offsets[i];
		uint16_t narrow = (uint16_t)offset;

		if (wide)
			memcpy(edges + i * sizeof(offset), &offset, sizeof(offset));
		else
			memcpy(edges + i * sizeof(narrow), &narrow, sizeof(narrow));
	}
	line->edges = edges;
	line->inner = writer->inner;
	line->flags |= wide ? LINE_WIDE : 0;
	writer->edge_bytes += header + bytes;
	writer->inner = 0;
	return true;
}

bool line_writer_finish(struct line_writer *writer)
{
	struct store *store = writer->store;

	if (!line_writer_flush(writer))
		return false;
	size_t count = writer->blocks.list.count;
	if (!hw_vector_reserve(&store->blocks.list, count))
		return false;
	for (size_t i = 0; i < count; i++)
		store->blocks.list.items[store->blocks.list.count++] = writer->blocks.list.items[i];
	writer->blocks.list.count = 0;
	store->edge_count += writer->edge_count;
	store->edge_bytes += writer->edge_bytes;
	return true;
}
