// Reading the heap's pointers into the edge store, on several threads.
//
// The heap is cut into pieces of consecutive objects that begin and end at line boundaries, so
// every line of the store has one writer and threads share nothing but the counter that hands out
// pieces.
#include "graph/source.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/together.h"
#include "graph/internal.h"

enum { THREADS_MAX = 16 };

struct extraction {
	const struct edge_source *source;
	struct graph *graph;
	pthread_mutex_t lock;
	uint64_t next; // where the next piece begins; lock held
	bool stop;     // a worker failed; lock held
};

struct extraction_worker {
	struct extraction *extraction;
	struct edge_sink sink;
	struct line_writer writer;
	void *scanner;
};

bool edge_sink_end_object(struct edge_sink *sink)
{
	if (sink->from == OBJECT_NONE)
		return true;
	target_set_finish(&sink->targets, sink->from);
	if (sink->targets.failed || (sink->targets.count && !line_writer_add(sink->writer,
								    sink->from, &sink->targets))) {
		sink->failed = true;
		return false;
	}
	target_set_clear(&sink->targets);
	sink->from = OBJECT_NONE;
	return true;
}

// Takes the next piece [*first, *end). False when all are taken.
static bool piece_take(struct extraction *extraction, object_id *first, object_id *end)
{
	const struct edge_source *source = extraction->source;
	bool found = false;

	pthread_mutex_lock(&extraction->lock);
	if (!extraction->stop && extraction->next < source->object_count) {
		*first = (object_id)extraction->next;
		uint64_t stop = source->piece_end(source->context, *first);
		stop = (stop + LINE_NODES - 1) / LINE_NODES * LINE_NODES;
		if (stop <= *first)
			stop = *first + (uint64_t)LINE_NODES;
		if (stop > source->object_count)
			stop = source->object_count;
		*end = (object_id)stop;
		extraction->next = stop;
		found = true;
	}
	pthread_mutex_unlock(&extraction->lock);
	return found;
}

static void worker_run(void *job)
{
	struct extraction_worker *worker = job;
	const struct edge_source *source = worker->extraction->source;
	object_id first, end;

	while (!cancel_requested() && piece_take(worker->extraction, &first, &end)) {
		source->scan(worker->scanner, first, end, &worker->sink);
		if (worker->sink.failed || !edge_sink_end_object(&worker->sink)) {
			pthread_mutex_lock(&worker->extraction->lock);
			worker->extraction->stop = true;
			pthread_mutex_unlock(&worker->extraction->lock);
		}
	}
}

static struct error *worker_init(struct extraction_worker *worker, struct extraction *extraction)
{
	const struct edge_source *source = extraction->source;

	worker->extraction = extraction;
	target_set_init(&worker->sink.targets, source->object_count);
	line_writer_init(&worker->writer, &extraction->graph->store);
	worker->sink.writer = &worker->writer;
	worker->sink.from = OBJECT_NONE;
	return source->scanner_create(source->context, &worker->scanner);
}

static void worker_deinit(struct extraction_worker *worker, const struct edge_source *source)
{
	if (worker->scanner)
		source->scanner_destroy(worker->scanner);
	line_writer_deinit(&worker->writer);
	target_set_deinit(&worker->sink.targets);
}

static struct error *extraction_run(
	struct extraction *extraction, struct extraction_worker *workers, unsigned count)
{
	struct error *err = NULL;

	together(worker_run, workers, count, sizeof(*workers));
	for (unsigned i = 0; i < count && !err; i++)
		if (workers[i].sink.failed || !line_writer_finish(&workers[i].writer))
			err = error_no_memory();
	if (!err && cancel_requested())
		err = error_cancelled();
	return err;
}

static struct error *sizes_read(struct graph *graph, const struct edge_source *source)
{
	for (uint64_t id = 0; id < source->object_count;) {
		uint64_t size, count = source->sizes(source->context, (object_id)id, &size);

		if (count > source->object_count - id)
			count = source->object_count - id;
		BUG_ON(!count);
		if (!store_set_sizes(&graph->store, (node_id)id, count, size))
			return error_no_memory();
		id += count;
	}
	return NULL;
}

static void cleanup_graph(struct graph **graph)
{
	graph_destroy(*graph);
}

struct error *graph_extract_from(
	const struct edge_source *source, unsigned threads, struct graph **out)
{
	_cleanup_(cleanup_graph) struct graph *graph = calloc(1, sizeof(*graph));
	struct extraction_worker workers[THREADS_MAX] = {0};
	struct error *err = NULL;

	if (!graph)
		return error_no_memory();
	store_init(&graph->store);
	// Numbers of nodes are 32 bits wide; holders and the root need some too.
	if (source->object_count > NODE_NONE - (1U << 24))
		return error_create(
			ERROR_TARGET, "the heap has too many objects (%u)", source->object_count);
	graph->object_count = source->object_count;
	graph->allocated = source->allocated;
	if (!store_resize(&graph->store, source->object_count))
		return error_no_memory();
	err = sizes_read(graph, source);
	if (err)
		return err;

	struct extraction extraction = {.source = source, .graph = graph};
	pthread_mutex_init(&extraction.lock, NULL);
	unsigned count = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
	unsigned ready = 0;
	for (; ready < count && !err; ready++)
		err = worker_init(&workers[ready], &extraction);
	if (!err)
		err = extraction_run(&extraction, workers, count);
	for (unsigned i = 0; i < ready; i++)
		worker_deinit(&workers[i], source);
	pthread_mutex_destroy(&extraction.lock);
	if (!err)
		*out = take_pointer(graph);
	return err;
}
