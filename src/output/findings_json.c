// See findings_json.h.
#include "output/findings_json.h"

#include <string.h>

#include "output/json.h"
#include "output/path_nodes.h"

// "main.readBody (server.go:41)": how the contract writes a frame in one string.
static json_t *place_json(const struct report_frame *frame)
{
	const char *slash = strrchr(frame->file, '/');

	if (!*frame->file)
		return json_string(frame->function);
	return json_sprintf(
		"%s (%s:%d)", frame->function, slash ? slash + 1 : frame->file, (int)frame->line);
}

static json_t *places_json(const struct report_frame *frames, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		list = json_array_with(list, place_json(&frames[i]));
	return list;
}

static json_t *finding_path_json(const struct report_finding *finding)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < finding->path_count; i++) {
		const struct path_node *node = &finding->path[i];
		list = json_array_with(list,
			json_pack("{s:s, s:s, s:s, s:o}", "kind", node->kind, "name", node->name,
				"type", node->type, "address", json_u64(node->address)));
	}
	return list;
}

json_t *findings_json(const struct report_finding *findings, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		const struct report_finding *finding = &findings[i];
		const struct report_frame *creator = &finding->stack.created_by;
		list = json_array_with(list,
			json_pack("{s:s, s:s, s:o, s:o, s:s, s:b, s:s, s:o, s:o, s:s, s:o, s:s, "
				  "s:s, s:o, s:o, s:o}",
				"rule", finding->rule, "account", finding->account, "bytes",
				json_u64(finding->bytes), "objects", json_u64(finding->objects),
				"type", finding->type, "proven", finding->proven, "what",
				finding->what, "path", finding_path_json(finding), "allocated_at",
				places_json(finding->allocated_at, finding->allocated_at_count),
				"remedy", finding->remedy, "remedy_bytes",
				json_u64(finding->remedy_bytes), "condition", finding->condition,
				"state", finding->state, "wait_ns",
				json_u64(finding->longest_wait_ns), "stack",
				places_json(finding->stack.frames, finding->stack.count),
				"created_by", places_json(creator, *creator->function != '\0')));
	}
	return list;
}
