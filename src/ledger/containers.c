// The register is found by its first word, which is initialised data: it lies in the writable part of a mapped file,
// the program's or the shared library's. Neither symbols nor the library's file are needed.
#include "ledger/containers.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "target/memory.h"

enum {
	SLOTS_MAX = 1 << 24,
	NAME_MAX_BYTES = 128,
	MEASURES_MAX = 256,
	FIELDS_MAX = 1 << 20,
	SCAN_BYTES = 1 << 20,
	REGION_BYTES_MAX = 1 << 30,
};

struct reading {
	struct target *target;
	struct memory memory;
	struct containers *out;
	bool no_memory;
};

static bool has_magic(struct reading *reading, remote_addr address, const char *magic)
{
	char bytes[8];

	return memory_read(&reading->memory, address, bytes, sizeof(bytes)) &&
	       !memcmp(bytes, magic, sizeof(bytes));
}

static remote_addr region_search(
	struct reading *reading, const struct region *region, uint64_t *words)
{
	uint64_t magic;

	memcpy(&magic, "hw-reg-1", sizeof(magic));
	for (remote_addr at = region->start; at < region->end; at += SCAN_BYTES) {
		size_t size = region->end - at < SCAN_BYTES ? region->end - at : SCAN_BYTES;

		target_read_sparse(reading->target, at, words, size);
		for (size_t i = 0; i < size / 8; i++)
			if (words[i] == magic)
				return at + i * 8;
	}
	return 0;
}

static struct error *register_find(struct reading *reading, remote_addr *out)
{
	_cleanup_free_ uint64_t *words = malloc(SCAN_BYTES);

	if (!words)
		return error_no_memory();
	for (size_t i = 0; i < reading->target->region_count; i++) {
		const struct region *region = &reading->target->regions[i];

		if (!region->is_file || !region->writable || !region->readable || region->shared ||
			region->end - region->start > REGION_BYTES_MAX)
			continue;
		*out = region_search(reading, region, words);
		if (*out)
			return NULL;
	}
	return error_create(ERROR_TARGET, "the program does not use libheapwhy");
}

// At most NAME_MAX_BYTES of the string at `address`.
static const char *string_read(struct reading *reading, remote_addr address)
{
	char bytes[NAME_MAX_BYTES];
	size_t length = 0;

	while (address && length < sizeof(bytes)) {
		bytes[length] = (char)memory_u8(&reading->memory, address + length);
		if (!bytes[length])
			break;
		length++;
	}
	const char *kept = hw_arena_strndup(&reading->out->arena, bytes, length);
	reading->no_memory |= !kept;
	return kept;
}

// As struct hw_measure says.
static uint64_t measure(
	struct reading *reading, remote_addr container, const struct hw_measure *row)
{
	struct memory *memory = &reading->memory;
	remote_addr base = row->via ? memory_u64(memory, container + row->via) : container;
	uint64_t count =
		row->repeat_at ? memory_u64(memory, container + row->repeat_at) : row->repeat;
	uint64_t sum = 0;

	if (!base || count > FIELDS_MAX)
		return 0;
	for (uint64_t i = 0; i < count; i++)
		sum += memory_u64(memory, base + row->at + i * row->stride);
	if (row->times_at)
		sum *= memory_u64(memory, container + row->times_at);
	return sum * (uint64_t)(int64_t)row->times;
}

static void container_measure(
	struct reading *reading, remote_addr kind, struct container *container)
{
	struct memory *memory = &reading->memory;
	remote_addr rows = memory_u64(memory, kind + offsetof(struct hw_kind, measures));
	uint64_t count = memory_u64(memory, kind + offsetof(struct hw_kind, measure_count));

	for (uint64_t i = 0; i < count && i < MEASURES_MAX; i++) {
		struct hw_measure row;

		if (!memory_read(memory, rows + i * sizeof(row), &row, sizeof(row)) ||
			row.what >= CONTAINER_SUMS)
			continue;
		container->sums[row.what] += measure(reading, container->address, &row);
		container->measures[row.what] = true;
	}
}

// Slot `index` holds the container at `address`, unless that has moved or gone without a word: then it names another
// slot, or none of our kinds.
static void container_read(struct reading *reading, uint64_t index, remote_addr address)
{
	struct containers *out = reading->out;
	struct hw_registration registration;

	if (!memory_read(&reading->memory, address, &registration, sizeof(registration)) ||
		registration.slot != index) {
		out->damaged++;
		return;
	}
	remote_addr kind = (uintptr_t)registration.kind;
	if (!has_magic(reading, kind, "hw-kind")) {
		out->damaged++;
		return;
	}
	struct container container = {
		.kind = string_read(reading,
			memory_u64(&reading->memory, kind + offsetof(struct hw_kind, name))),
		.name = string_read(reading, (uintptr_t)registration.name),
		.address = address,
		.creator = (uintptr_t)registration.creator,
	};
	container_measure(reading, kind, &container);
	reading->no_memory |= !hw_vector_push(&out->list, container);
}

static struct error *slots_read(struct reading *reading, remote_addr address)
{
	struct hw_registry registry;

	if (!memory_read(&reading->memory, address, &registry, sizeof(registry)) ||
		registry.slot_count > SLOTS_MAX)
		return error_create(
			ERROR_TARGET, "the register of libheapwhy's containers is damaged");
	reading->out->missed = registry.missed;
	for (uint64_t i = 0; i < registry.slot_count && !reading->no_memory; i++) {
		remote_addr container =
			memory_u64(&reading->memory, (uintptr_t)registry.slots + i * 8);

		if (container)
			container_read(reading, i, container);
	}
	return reading->no_memory ? error_no_memory() : NULL;
}

static int compare_containers(const void *a, const void *b)
{
	const struct container *one = a, *other = b;
	uint64_t left = one->sums[HW_HELD_BYTES], right = other->sums[HW_HELD_BYTES];

	if (left != right)
		return left < right ? 1 : -1;
	return one->address < other->address ? -1 : one->address > other->address;
}

struct error *containers_read(struct target *target, struct containers *out)
{
	struct reading reading = {.target = target, .out = out};
	remote_addr address = 0;

	*out = (struct containers){0};
	hw_arena_init(&out->arena, 0);
	struct error *err = memory_init(&reading.memory, target, 0);
	if (!err)
		err = register_find(&reading, &address);
	if (!err)
		err = slots_read(&reading, address);
	memory_deinit(&reading.memory);
	if (err) {
		containers_deinit(out);
		return err;
	}
	if (out->list.count)
		qsort(out->list.items, out->list.count, sizeof(*out->list.items),
			compare_containers);
	return NULL;
}

void containers_deinit(struct containers *containers)
{
	hw_vector_deinit(&containers->list);
	hw_arena_deinit(&containers->arena);
}
