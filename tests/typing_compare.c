// Types one captured process twice, once as if its executable were stripped and once with all it has, and compares the
// results object for object. Usage: typing_compare PID [-h | -s]
// (-h: who points to what stays untyped; -s: the same without debug information).
// Prints how much each way typed, and of the objects that both typed: how many agree, and the pairs that do not.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/typing.h"
#include "heapwhy/map.h"
#include "graph/graph.h"
#include "target/process.h"

enum { SHOWN_MAX = 40 };

struct program {
	struct target *target;
	struct go_runtime *runtime;
	struct heap *heap;
	struct goroutine_list *goroutines;
	struct roots roots;
	struct graph *graph;
	const uint64_t *live;
};

static struct error *find_live(struct program *program)
{
	struct error *err = graph_extract(program->heap, 2, &program->graph);
	size_t count = program->roots.list.count;
	_cleanup_free_ struct holder_edge *edges = calloc(count + 1, sizeof(*edges));

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		const struct root *root = &program->roots.list.items[i];
		edges[i] = (struct holder_edge){
			.object = heap_find(program->heap, root->value), .precise = root->precise};
	}
	err = graph_connect(program->graph, 1, edges, count);
	if (!err)
		program->live = graph_reached(program->graph);
	return err;
}

static struct error *program_open(pid_t pid, struct program *program)
{
	struct capture_options options = {.method = CAPTURE_AUTO};
	struct error *err = process_capture(pid, &options, &program->target);

	if (!err)
		err = go_runtime_open(program->target, &program->runtime);
	if (!err)
		err = heap_open(program->runtime, &program->heap);
	if (!err)
		err = goroutines_read(program->heap, &program->goroutines);
	if (!err)
		err = roots_collect(program->heap, program->goroutines, &program->roots);
	if (!err)
		err = find_live(program);
	return err;
}

static struct error *type_all(
	struct program *program, unsigned flags, const char *label, struct typing **out)
{
	struct typing_statistics s;
	clock_t start = clock();
	struct error *err =
		typing_open(program->heap, &program->roots, program->goroutines, flags, out);

	if (!err)
		err = typing_spread(*out, program->live);
	if (err)
		return err;
	typing_statistics(*out, &s);
	double objects = s.exact_objects + s.guessed_objects + s.untyped_objects;
	double bytes = s.exact_bytes + s.guessed_bytes + s.untyped_bytes;
	printf("%-9s exact %.2f %% of %.0f objects, %.2f %% of %.1f MB; guessed %.2f %%, %.2f %%; "
	       "%.0f ms of processor time\n",
		label, 100 * s.exact_objects / objects, objects, 100 * s.exact_bytes / bytes,
		bytes / 1e6, 100 * s.guessed_objects / objects, 100 * s.guessed_bytes / bytes,
		(double)(clock() - start) * 1e3 / CLOCKS_PER_SEC);
	return NULL;
}

struct tally {
	uint64_t key; // of a pair of labels, or a label
	uint64_t objects, bytes;
	object_id example;
};

struct tallies {
	struct hw_map index;
	HW_VECTOR(struct tally) list;
};

static void tally_add(struct tallies *tallies, uint64_t key, uint64_t bytes, object_id id)
{
	uint64_t *place = hw_map_at(&tallies->index, key, tallies->list.count);

	if (*place == tallies->list.count)
		hw_vector_push(&tallies->list, (struct tally){.key = key, .example = id});
	tallies->list.items[*place].objects++;
	tallies->list.items[*place].bytes += bytes;
}

static int compare_tallies(const void *left, const void *right)
{
	const struct tally *a = left, *b = right;

	return a->objects > b->objects ? -1 : a->objects < b->objects;
}

static bool is_bytes(const char *name)
{
	return !strcmp(name, "string bytes") || !strcmp(name, "[]uint8") ||
	       !strcmp(name, "tiny objects");
}

// "[32]main.x" and "[]main.x" are both arrays of it.
static const char *after_brackets(const char *name)
{
	const char *end = *name == '[' ? strchr(name, ']') : NULL;

	return end ? end + 1 : name;
}

// Names of one thing that differ by where they come from only.
static bool same_thing(const char *a, const char *b)
{
	return !strcmp(a, b) || (!strncmp(a, "time.Ti", 7) && !strncmp(b, "time.Timer or", 13)) ||
	       (!strncmp(b, "time.Ti", 7) && !strncmp(a, "time.Timer or", 13)) ||
	       (is_bytes(a) && is_bytes(b)) || !strcmp(a, "tiny objects") ||
	       !strcmp(b, "tiny objects") || !strcmp(after_brackets(a), after_brackets(b));
}

// The same thing by a name that says less of it, but nothing wrong: code that instances of a generic function share names
// the shape of their types, what is a map may be known without its type, and a map's type may be known but for which of
// those that look the same it is.
static bool says_less(const char *less, const char *more)
{
	const char *shape = strstr(less, "go.shape.");

	if (strstr(less, " or alike"))
		return !strncmp(less, more, strcspn(less, "["));
	return shape ? !strncmp(less, more, (size_t)(shape - less))
		     : !strcmp(less, "runtime.hmap") && !strncmp(more, "map[", 4);
}

static void compare(
	const struct program *program, const struct typing *stripped, const struct typing *full)
{
	struct tallies differ = {.list = HW_VECTOR_INIT}, untyped = {.list = HW_VECTOR_INIT};
	uint64_t both = 0, agree = 0, vaguer = 0, guessed = 0, guessed_right = 0, guessed_less = 0;

	hw_map_init(&differ.index);
	hw_map_init(&untyped.index);
	for (object_id id = 0; id < program->heap->object_count; id++) {
		if (!heap_bit(program->live, id))
			continue;
		uint32_t a = typing_label_of(stripped, id), b = typing_label_of(full, id);
		enum type_source source = typing_label_source(stripped, a);
		if (source == TYPED_NOT)
			tally_add(
				&untyped, (uint64_t)a << 32 | b, heap_size(program->heap, id), id);
		if (source == TYPED_NOT || typing_label_source(full, b) != TYPED_EXACT)
			continue;
		// Tiny objects without pointers share slots: each way may know of another one.
		const struct span *span = heap_span_of(program->heap, id);
		bool same = (span->noscan && span->elem_size == 16) ||
			    same_thing(typing_label_name(stripped, a), typing_label_name(full, b));
		bool less = !same &&
			    says_less(typing_label_name(stripped, a), typing_label_name(full, b));
		if (source == TYPED_GUESS) {
			guessed++;
			guessed_less += less;
			guessed_right += same;
		} else {
			both++;
			agree += same;
			vaguer += less;
		}
		if (!same && !less)
			tally_add(&differ, (uint64_t)a << 32 | b, heap_size(program->heap, id), id);
	}
	printf("both typed %" PRIu64 ", disagree %" PRIu64 " (%.4f %%), said less %" PRIu64
	       "; guesses %" PRIu64 ", wrong %" PRIu64 ", said less %" PRIu64 "\n",
		both, both - agree - vaguer, both ? 100.0 * (both - agree - vaguer) / both : 0,
		vaguer, guessed, guessed - guessed_right - guessed_less, guessed_less);
	for (unsigned pass = 0; pass < 2; pass++) {
		struct tallies *tallies = pass ? &untyped : &differ;
		qsort(tallies->list.items, tallies->list.count, sizeof(struct tally),
			compare_tallies);
		for (size_t i = 0; i < tallies->list.count && i < SHOWN_MAX; i++) {
			const struct tally *t = &tallies->list.items[i];
			printf("  %s %8" PRIu64 " objects %8" PRIu64 " KB %" PRIx64
			       "  %.90s | %.90s\n",
				pass ? "untyped" : "DIFFER ", t->objects, t->bytes / 1024,
				heap_address(program->heap, t->example),
				typing_label_name(stripped, t->key >> 32),
				typing_label_name(full, t->key & UINT32_MAX));
		}
	}
}

// Who points to what stayed untyped even with everything known.
struct holders {
	const struct program *program;
	struct typing *typing;
	struct tallies tallies;
};

static bool holders_visit(void *context, const struct word_group *group)
{
	struct holders *holders = context;
	const struct heap *heap = holders->program->heap;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = __builtin_ctzll(bits);
		object_id to = heap_find(heap, group->words[i]);
		if (to == OBJECT_NONE || !heap_bit(holders->program->live, to) ||
			typing_label_source(
				holders->typing, typing_label_of(holders->typing, to)) != TYPED_NOT)
			continue;
		uint64_t key = (uint64_t)typing_label_of(holders->typing, group->object) << 32 |
			       (group->offset + 8 * i) % 4096;
		tally_add(&holders->tallies, key, heap_size(heap, to), to);
	}
	return true;
}

static void show_holders(const struct program *program, struct typing *typing)
{
	struct holders holders = {.program = program, .typing = typing};
	struct heap_reader *reader;

	if (heap_reader_create(program->heap, &reader))
		return;
	hw_map_init(&holders.tallies.index);
	for (uint32_t i = 0; i < program->heap->span_count; i++)
		heap_scan_span(
			reader, &program->heap->spans[i], program->live, holders_visit, &holders);
	for (size_t i = 0; i < program->roots.list.count; i++) {
		const struct root *root = &program->roots.list.items[i];
		object_id to = heap_find(program->heap, root->value);
		if (to != OBJECT_NONE &&
			typing_label_source(typing, typing_label_of(typing, to)) == TYPED_NOT)
			tally_add(&holders.tallies, UINT64_MAX - root->kind,
				heap_size(program->heap, to), to);
	}
	qsort(holders.tallies.list.items, holders.tallies.list.count, sizeof(struct tally),
		compare_tallies);
	for (size_t i = 0; i < holders.tallies.list.count && i < SHOWN_MAX; i++) {
		const struct tally *t = &holders.tallies.list.items[i];
		printf("  holder %8" PRIu64 " objects %8" PRIu64 " KB %" PRIx64 "  %.90s +%" PRIu64
		       " -> %s\n",
			t->objects, t->bytes / 1024, heap_address(program->heap, t->example),
			t->key >= UINT64_MAX - 16 ? "root"
						  : typing_label_name(typing, t->key >> 32),
			t->key >= UINT64_MAX - 16 ? UINT64_MAX - t->key : t->key & UINT32_MAX,
			typing_label_name(typing, typing_label_of(typing, t->example)));
	}
	heap_reader_destroy(reader);
}

int main(int argc, char **argv)
{
	struct program program = {.roots = {.list = HW_VECTOR_INIT}};
	struct typing *stripped, *full;

	if (argc < 2) {
		fprintf(stderr, "usage: typing_compare PID\n");
		return 2;
	}
	struct error *err = program_open(atoi(argv[1]), &program);
	if (!err)
		printf("%s %s\n", program.target->exe_path, program.runtime->version);
	if (!err)
		err = type_all(&program, TYPING_AS_STRIPPED, "stripped", &stripped);
	if (!err)
		err = type_all(&program, 0, "full", &full);
	if (err) {
		fprintf(stderr, "%s\n", error_message(err));
		target_destroy(program.target);
		return 3;
	}
	compare(&program, stripped, full);
	if (argc > 2 && !strcmp(argv[2], "-s"))
		show_holders(&program, stripped);
	else if (argc > 2)
		show_holders(&program, full);
	typing_destroy(stripped);
	typing_destroy(full);
	graph_destroy(program.graph);
	roots_deinit(&program.roots);
	goroutines_destroy(program.goroutines);
	heap_close(program.heap);
	go_runtime_close(program.runtime);
	target_destroy(program.target);
	return 0;
}
