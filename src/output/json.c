// See json.h.
#include "output/json.h"

#include <stdlib.h>

#include "base/cleanup.h"

json_t *json_u64(uint64_t number)
{
	// JSON knows only numbers, and jansson's are signed; no real count comes near.
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

json_t *json_array_with(json_t *array, json_t *item)
{
	if (!array || json_array_append_new(array, item)) {
		if (!array)
			json_decref(item);
		json_decref(array);
		return NULL;
	}
	return array;
}

struct error *json_print(json_t *root, struct text *text)
{
	_cleanup_free_ char *printed =
		root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) : NULL;

	json_decref(root);
	if (!printed)
		return error_no_memory();
	text_append(text, printed);
	text_append_char(text, '\n');
	return text->failed ? error_no_memory() : NULL;
}
