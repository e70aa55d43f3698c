// Objects whose type is told by what lies in or next to them, and not by the type of the pointer that leads there.
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "goruntime/typing_private.h"

static uint64_t load_word(const uint8_t *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

// reflect/value.go: bit 7 of the flag says that ptr points to the data.
void typing_follow_reflect(struct typing *typing, const uint8_t *value)
{
	const struct go_type *type = type_by_address(typing->types, load_word(value));
	uint64_t word = load_word(value + 8);

	if (!type || !word)
		return;
	if (load_word(value + 16) & 128)
		typing_claim_as(typing, CLAIM_BY_POINTER, word, type, 1);
	else if (type->direct)
		typing_follow_pointer(typing, type, word);
}

// The node's first byte tells what the node is the head of.
void typing_follow_trie_node(
	struct typing *typing, const struct go_type *node, const uint8_t *bytes, remote_addr self)
{
	const char *tail = strstr(node->name, "node[");
	char name[1024];

	if (!tail)
		return;
	int n = snprintf(name, sizeof(name), "%s.%s%s", node->package,
		*bytes ? "entry[" : "indirect[", tail + strlen("node["));
	if (n < 0 || (size_t)n >= sizeof(name))
		return;
	const struct go_type *type = type_by_name(typing->types, name);
	if (type)
		typing_claim_as(typing, CLAIM_BY_POINTER, self, type, 1);
}

// `value` is most often a stack's: nothing is read for that.
void typing_follow_chan_value(struct typing *typing, remote_addr channel, remote_addr value)
{
	const struct layout_offsets *at = &typing->heap->runtime->layout.at;

	if (!channel || heap_find(typing->heap, value) == OBJECT_NONE)
		return;
	typing_claim(typing, value,
		type_by_address(typing->types,
			memory_u64(&typing->memory, channel + (uint32_t)at->hchan_elemtype)),
		1);
}

// The records that reflect makes (reflect/type.go: ArrayOf, ChanOf, ...), as structs that begin with the abi.Type, by
// the kind that it states. The second name is that of 1.20 on, where reflect has no type of its own.
static const struct {
	enum go_kind kind;
	const char *names[2];
} records[] = {
	{GO_ARRAY, {"reflect.arrayType", "internal/abi.ArrayType"}},
	{GO_CHAN, {"reflect.chanType", "internal/abi.ChanType"}},
	{GO_INTERFACE, {"reflect.interfaceType", "internal/abi.InterfaceType"}},
	{GO_MAP, {"reflect.mapType", "internal/abi.MapType"}},
	{GO_POINTER, {"reflect.ptrType", "internal/abi.PtrType"}},
	{GO_SLICE, {"reflect.sliceType", "internal/abi.SliceType"}},
	{GO_STRUCT, {"reflect.structTypeUncommon", "reflect.structType"}},
};

// A function's record has its parameters behind it, as many as there are.
static const char *const function_names[] = {"reflect.funcType", "internal/abi.FuncType"};

enum { RECORD_KIND = 23, RECORD_KIND_MASK = 31, RECORD_GC_DATA = 32 };

// Types that reflect makes have their names and pointer masks in byte slices, to which they keep *byte.
void typing_follow_bytes(struct typing *typing, remote_addr bytes)
{
	typing_claim_as(typing, CLAIM_BY_STRING, bytes, type_by_name(typing->types, "uint8"), 1);
}

void typing_follow_record(struct typing *typing, const uint8_t *record, remote_addr self)
{
	bool function = (record[RECORD_KIND] & RECORD_KIND_MASK) == GO_FUNC;

	if (heap_find(typing->heap, self) == OBJECT_NONE)
		return;
	typing_follow_bytes(typing, load_word(record + RECORD_GC_DATA));
	for (unsigned i = 0; function && i < ARRAY_COUNT(function_names); i++)
		typing_claim_as(typing, CLAIM_WHOLE, self,
			type_by_name(typing->types, function_names[i]), 1);
	for (unsigned i = 0; i < ARRAY_COUNT(records); i++) {
		if (records[i].kind != (record[RECORD_KIND] & RECORD_KIND_MASK))
			continue;
		for (unsigned n = 0; n < ARRAY_COUNT(records[i].names); n++)
			typing_claim(
				typing, self, type_by_name(typing->types, records[i].names[n]), 1);
	}
}
