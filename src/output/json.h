// Parts of JSON that all its writers need. jansson's constructors swallow NULL and fail, and so do these: running out of
// memory anywhere below makes the whole NULL, and one check at the end, in json_print(), is enough.
//
//	json_t *list = json_array();
//	for (...)
//		list = json_array_with(list, json_u64(bytes));
//	return json_print(json_pack("{s:i, s:o}", "schema", 1, "bytes", list), text);
#ifndef OUTPUT_JSON_H
#define OUTPUT_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

json_t *json_u64(uint64_t number);

// Appends `item` to `array`, both of which may be NULL; takes them over. NULL if either was or there is no memory.
json_t *json_array_with(json_t *array, json_t *item);

// Appends `root`, which may be NULL, to `text` with a line end, and frees it.
struct error *json_print(json_t *root, struct text *text);

#endif
