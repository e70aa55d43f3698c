// Go's long names in little room.
#ifndef OUTPUT_NAMES_H
#define OUTPUT_NAMES_H

#include "base/text.h"
#include "output/style.h"

// Columns that `string` takes on the terminal, by the current locale.
unsigned display_width(const char *string);

// Appends the name without the directories of its import paths, type arguments included:
// "github.com/a/b/tsdb.(*Head).add" becomes "tsdb.(*Head).add".
void name_append_plain(struct text *text, const char *name);

// A type that is how Go builds maps: directories, tables, groups, buckets.
bool name_is_map_part(const char *type);

// Appends `string` cut to `width` columns. What is left out is in the middle, where Go's names
// differ least: the package is at the front and the method, the field or the closure's number at
// the end.
void name_append_cut(
	struct text *text, const char *string, unsigned width, const struct style *style);

// Appends a sentence, broken at blanks so that no line is wider than the style allows unless a
// single word is, and ends it with a newline. `sentence` may contain the style's escape sequences,
// which take no room.
void sentence_append(struct text *text, const char *sentence, const struct style *style);

#endif
