// The graph room alone, on synthetic heaps of any size: milliseconds and memory of each phase.
//
//	graph_scale SHAPE OBJECTS
//
// Edges are computed, not stored, so that the peak memory is the graph's own. One JSON object a run
// on standard output.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "graph/source.h"

struct shape;
typedef uint32_t shape_targets(
	const struct shape *shape, uint32_t id, uint32_t *targets); // up to 64

struct shape {
	const char *name;
	shape_targets *targets;
	const char *says;
	uint32_t count;
};

// A permutation of 0 .. 2^k - 1 >= count, walked until it falls below count.
static uint32_t shuffle(uint32_t id, uint32_t count)
{
	uint32_t bits = 32 - (uint32_t)__builtin_clz(count | 1),
		 mask = (uint32_t)((UINT64_C(1) << bits) - 1);

	do {
		id = (id * 0x9e3779b1u + 0x7f4a7c15u) & mask;
		id ^= id >> (bits / 2 + 1);
		id = (id * 0x85ebca6bu) & mask;
		id ^= id >> (bits / 2 + 1);
	} while (id >= count);
	return id;
}

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

static uint32_t chain_targets(const struct shape *shape, uint32_t id, uint32_t *targets)
{
	targets[0] = id + 1;
	return id + 1 < shape->count;
}

static uint32_t list_targets(const struct shape *shape, uint32_t id, uint32_t *targets)
{
	uint32_t half = shape->count / 2, n = 0;

	if (id > half)
		return 0;
	if (id)
		targets[n++] = id - 1;
	if (id < half)
		targets[n++] = id + 1;
	targets[n++] = 0;
	if (id && id + half < shape->count)
		targets[n++] = id + half;
	return n;
}

static uint32_t tree_targets(const struct shape *shape, uint32_t id, uint32_t *targets)
{
	uint32_t n = 0;

	for (uint64_t child = 2 * (uint64_t)id + 1; child <= 2 * (uint64_t)id + 2; child++)
		if (child < shape->count)
			targets[n++] = (uint32_t)child;
	targets[n++] = id ? (id - 1) / 2 : 0;
	return n;
}

static uint32_t random_targets(const struct shape *shape, uint32_t id, uint32_t *targets)
{
	uint32_t n = 0;

	if (id + 1 < shape->count && id % 8 == 0)
		targets[n++] = id + 1;
	for (uint32_t i = 0; i < 3; i++)
		targets[n++] = mix(id * 3 + i) % shape->count;
	return n;
}

// What services hold: buckets of eight records, each with two strings and sometimes a record that
// is shared.
static uint32_t mixed_targets(const struct shape *shape, uint32_t id, uint32_t *targets)
{
	uint32_t n = 0, block = id / 32, in = id % 32, base = block * 32;

	if (!in) { // a bucket: records at 1, 4, 7, ... and the next bucket
		for (uint32_t i = 1; i < 25 && base + i < shape->count; i += 3)
			targets[n++] = base + i;
		if (base + 32 < shape->count)
			targets[n++] = base + 32;
	} else if (in < 25 && in % 3 == 1) {
		for (uint32_t i = 1; i <= 2; i++)
			if (id + i < shape->count)
				targets[n++] = id + i;
		uint32_t shared = mix(id) % shape->count / 32 * 32 + 25 + mix(id + 1) % 7;
		if (shared < shape->count)
			targets[n++] = shared;
	}
	return n;
}

static struct shape shapes[] = {
	{"chain", chain_targets, "a linked list in order"},
	{"list", list_targets, "container/list with values"},
	{"tree", tree_targets, "a binary tree with parent pointers"},
	{"random", random_targets, "three random pointers each"},
	{"mixed", mixed_targets, "buckets, records, strings, shared records"},
};

static bool shuffled;

static object_id scale_sizes(void *context, object_id first, uint64_t *size)
{
	const struct shape *shape = context;

	*size = 64;
	return shape->count - first;
}

static struct error *scale_scanner_create(void *context, void **out)
{
	*out = context;
	return NULL;
}

static void scale_scanner_destroy(void *scanner)
{
}

static object_id scale_piece_end(void *context, object_id first)
{
	const struct shape *shape = context;

	return shape->count - first > 131072 ? first + 131072 : shape->count;
}

static uint32_t *places, *origins; // only when shuffled

static void scale_scan(void *scanner, object_id first, object_id end, struct edge_sink *sink)
{
	const struct shape *shape = scanner;
	uint32_t targets[64];

	for (object_id id = first; id < end; id++) {
		uint32_t count = shape->targets(shape, shuffled ? origins[id] : id, targets);

		for (uint32_t i = 0; i < count; i++)
			if (!edge_sink_add(sink, id, shuffled ? places[targets[i]] : targets[i]))
				return;
	}
}

static uint64_t status_kib(const char *field)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	uint64_t value = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			value = strtoull(line + strlen(field) + 1, NULL, 10);
	return value;
}

// CPU time, of all threads: comparable on a machine that is busy with something else.
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// Peak memory of one phase: the kernel's high-water mark, set back at its start.
static void peak_reset(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/clear_refs", "w");

	if (file)
		fputs("5", file);
}

static double phase_end(const char *name, uint64_t *since, uint32_t count, uint64_t base_kib)
{
	uint64_t now = cpu_ns();
	double ms = (double)(now - *since) / 1e6;

	printf(", \"%s_ms\": %.0f, \"%s_ns_object\": %.1f, \"%s_peak_bytes_object\": %.1f", name,
		ms, name, ms * 1e6 / count, name,
		(double)(status_kib("VmHWM:") - base_kib) * 1024 / count);
	peak_reset();
	*since = cpu_ns();
	return ms;
}

static uint32_t one_label(void *context, object_id id)
{
	return id % 1000;
}

static struct error *run(struct shape *shape)
{
	struct edge_source source = {.context = shape,
		.object_count = shape->count,
		.sizes = scale_sizes,
		.piece_end = scale_piece_end,
		.scanner_create = scale_scanner_create,
		.scanner_destroy = scale_scanner_destroy,
		.scan = scale_scan};
	struct holder_edge root = {0, shuffled ? places[0] : 0, true};
	struct graph *graph;
	node_id path[8];
	size_t skipped;
	uint64_t bytes[1000], base = status_kib("VmRSS:"), since;

	printf("{\"shape\": \"%s\", \"shuffled\": %s, \"objects\": %" PRIu32, shape->name,
		shuffled ? "true" : "false", shape->count);
	peak_reset();
	since = cpu_ns();
	struct error *err = graph_extract_from(&source, 2, &graph);
	if (err)
		return err;
	phase_end("extract", &since, shape->count, base);
	err = graph_connect(graph, 1, &root, 1);
	phase_end("mark", &since, shape->count, base);
	if (!err)
		err = graph_dominate(graph);
	phase_end("dominate", &since, shape->count, base);
	if (!err)
		err = graph_prepare_tree(graph);
	phase_end("tree", &since, shape->count, base);
	if (!err)
		err = graph_retained_by_label(graph, one_label, NULL, 1000, bytes);
	phase_end("labels", &since, shape->count, base);
	if (!err)
		err = graph_prepare_paths(graph);
	phase_end("paths", &since, shape->count, base);
	size_t length = err ? 0 : graph_path(graph, shape->count - 1, path, 8, &skipped);
	printf(", \"reached\": %" PRIu64 ", \"edges\": %" PRIu64 ", \"path\": %zu}\n",
		graph_reached_count(graph), graph_edge_count(graph), length ? length + skipped : 0);
	graph_destroy(graph);
	return err;
}

int main(int argc, char **argv)
{
	shuffled = argc > 3 && !strcmp(argv[3], "shuffled");
	for (size_t i = 0; argc > 2 && i < ARRAY_COUNT(shapes); i++) {
		if (strcmp(argv[1], shapes[i].name))
			continue;
		shapes[i].count = (uint32_t)strtoul(argv[2], NULL, 10);
		if (!shapes[i].count)
			break;
		if (shuffled) {
			places = malloc((size_t)shapes[i].count * sizeof(*places));
			origins = malloc((size_t)shapes[i].count * sizeof(*origins));
			if (!places || !origins)
				return 4;
			for (uint32_t id = 0; id < shapes[i].count; id++) {
				places[id] = shuffle(id, shapes[i].count);
				origins[places[id]] = id;
			}
		}
		struct error *err = run(&shapes[i]);
		if (err) {
			fprintf(stderr, "graph_scale: %s\n", error_message(err));
			return error_kind(err);
		}
		return 0;
	}
	fprintf(stderr, "usage: graph_scale SHAPE OBJECTS [shuffled]\n");
	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
		fprintf(stderr, "  %-8s %s\n", shapes[i].name, shapes[i].says);
	return 2;
}
