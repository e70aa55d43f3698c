// Why is this object alive: shortest paths from roots to objects, as plain data, as text and as JSON.
//
// Like a report (report.h): clean strings, nothing that refers to the target, everything in one arena.
#ifndef OUTPUT_PATHS_H
#define OUTPUT_PATHS_H

#include "base/text.h"
#include "graph/analysis.h"
#include "heapwhy/arena.h"
#include "output/style.h"

struct path_node {
	const char *kind; // "global", "goroutine", ... for the first one, "object" for the others
	const char *name; // the holder's, or how the node before refers to this one; may be ""
	const char *type; // "" when unknown
	uint64_t address; // 0 for a goroutine
};

struct object_path {
	uint64_t address, bytes, retained_bytes;
	const char *type;
	struct path_node *nodes; // the holder first, the object last; none when nothing keeps it
	uint32_t node_count;
	uint32_t skip_at; // before this node ...
	uint64_t skipped; // ... so many are left out
};

struct paths {
	struct hw_arena arena;
	const char *subject;     // what was asked for
	uint64_t object_count;   // objects that it means
	uint64_t retained_bytes; // what would go if all of them went; of a single object, its own
	struct object_path *list;
	uint32_t count;
};

// `subject` is an address ("0xc000010000", anywhere in an object) or a type as the report names it, with or without the
// directories of its package. The `most` largest objects (by what they retain) get a path. Needs the target.
// ERROR_TARGET when there is no such object.
struct error *paths_find(
	struct analysis *analysis, const char *subject, uint32_t most, struct paths **out);
void paths_destroy(struct paths *paths); // accepts NULL

struct error *paths_text(const struct paths *paths, const struct style *style, struct text *text);
struct error *paths_json(const struct paths *paths, struct text *text);

#endif
