// Names for the memory of global variables: from DWARF, from the symbol table, or from the functions that refer to it.
//
// Without symbols a variable is what lies between one address that code refers to and the next. It is named by a function
// that uses it, of the package that refers to it most often (in 219 of 294 cases that is the variable's own package),
// and by its type where code tells that, or else by what it holds now.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "base/text.h"
#include "debuginfo/executable.h"
#include "debuginfo/pclntab.h"
#include "goruntime/typing_code.h"
#include "goruntime/typing_labels.h"

enum {
	VARIABLE_BYTES_MAX =
		4096, // a word is taken for a part of a variable that starts at most this far before it
	REFERENCES_MAX = 512, // of one variable: more do not make the majority clearer
};

void typing_add_global(struct typing *typing, const struct global_name *global)
{
	struct known_global known = {.name = *global, .order = typing->globals.count};

	if (!hw_vector_push(&typing->globals, known))
		typing->no_memory = true;
	typing->globals_sorted = false;
}

static int compare_globals(const void *left, const void *right)
{
	const struct known_global *a = left, *b = right;

	if (a->name.start != b->name.start)
		return a->name.start < b->name.start ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

// The variable told with typing_add_global() that covers `slot`.
static const struct known_global *find_known(struct typing *typing, remote_addr slot)
{
	if (!typing->globals_sorted && typing->globals.count)
		qsort(typing->globals.items, typing->globals.count, sizeof(struct known_global),
			compare_globals);
	typing->globals_sorted = true;
	// The first that starts behind `slot`.
	size_t at =
		FIRST_WHERE(i, typing->globals.count, typing->globals.items[i].name.start > slot);

	if (!at)
		return NULL;
	const struct known_global *found = &typing->globals.items[at - 1];
	while (found > typing->globals.items && found[-1].name.start == found->name.start)
		found--;
	return slot - found->name.start < found->name.size ? found : NULL;
}

// ---- memory without a variable: what `var x = &T{...}` and `var y = []T{...}` point to

void typing_add_pointee(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count)
{
	struct typed_memory pointee = {.address = address,
		.type = type->id,
		.count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX};

	if (!hw_vector_push(&typing->pointees, pointee))
		typing->no_memory = true;
}

static uint64_t pointee_size(const struct typing *typing, const struct typed_memory *pointee)
{
	return pointee->count * type_by_id(typing->types, pointee->type)->size;
}

static int compare_pointees(const void *left, const void *right, void *context)
{
	const struct typed_memory *a = left, *b = right;
	const struct typing *typing = context;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	uint64_t one = pointee_size(typing, a), other = pointee_size(typing, b);
	return one > other ? -1 : one < other;
}

// Of what overlaps only the first stays, and of that the largest: pointers into it say no more.
void typing_settle_pointees(struct typing *typing)
{
	struct typed_memory *list = typing->pointees.items;
	remote_addr end = 0;
	size_t kept = 0;

	if (typing->pointees.count)
		qsort_r(list, typing->pointees.count, sizeof(*list), compare_pointees, typing);
	for (size_t i = 0; i < typing->pointees.count; i++) {
		if (list[i].address < end)
			continue;
		end = list[i].address + pointee_size(typing, &list[i]);
		list[kept++] = list[i];
	}
	typing->pointees.count = kept;
}

// The last one that starts at or before `slot`, if it covers that; or NULL.
static const struct typed_memory *find_pointee(const struct typing *typing, remote_addr slot)
{
	size_t at =
		FIRST_WHERE(i, typing->pointees.count, typing->pointees.items[i].address > slot);

	if (!at)
		return NULL;
	const struct typed_memory *found = &typing->pointees.items[at - 1];
	return slot - found->address < pointee_size(typing, found) ? found : NULL;
}

bool typing_global_part(const struct typing *typing, const struct global_name *global,
	remote_addr slot, const struct go_type **type, uint64_t *offset)
{
	const struct typed_memory *pointee = find_pointee(typing, slot);
	bool of_variable = global->type && slot - global->start < global->type->size;

	// What code tells of memory without a name is one word of it.
	if (of_variable && !(global->unnamed && pointee)) {
		*type = global->type;
		*offset = slot - global->start;
		return true;
	}
	if (!pointee)
		return false;
	*type = type_by_id(typing->types, pointee->type);
	*offset = (slot - pointee->address) % (*type)->size;
	return true;
}

// ---- from code

size_t code_first_reference(const struct typing_code *code, remote_addr address)
{
	return FIRST_WHERE(i, code->references.count, code->references.items[i].address >= address);
}

// Up to the first dot behind the last slash outside of brackets.
size_t code_package_length(const char *name)
{
	size_t bracket = strcspn(name, "["), start = 0;

	for (size_t i = 0; i < bracket; i++)
		if (name[i] == '/')
			start = i + 1;
	return start + strcspn(name + start, ".");
}

static bool same_package(const char *a, const char *b)
{
	size_t length = code_package_length(a);

	return length == code_package_length(b) && !strncmp(a, b, length);
}

// A name that tells more: no initialisation, no closure.
static bool is_telling(const char *name)
{
	const char *rest = name + code_package_length(name);

	return strcmp(rest, ".init") && strncmp(rest, ".init.", 6) && !strstr(rest, ".func");
}

struct users {
	const char *names[REFERENCES_MAX];
	size_t count;
};

static void collect_users(
	const struct typing *typing, size_t first, size_t end, struct users *users)
{
	const struct pclntab *table = typing->heap->runtime->modules[0].pclntab;

	for (size_t i = first; i < end && users->count < REFERENCES_MAX; i++) {
		struct pcln_function function;
		if (pclntab_function(table, typing->code->references.items[i].function, &function))
			users->names[users->count++] = function.name;
	}
}

static bool are_initialisers(const struct users *users)
{
	for (size_t i = 0; i < users->count; i++)
		if (strcmp(users->names[i] + code_package_length(users->names[i]), ".init") != 0)
			return false;
	return true;
}

// A function of the package that has most of the users.
static const char *choose_user(const struct users *users)
{
	const char *best = NULL;
	size_t best_votes = 0;

	for (size_t i = 0; i < users->count; i++) {
		const char *name = users->names[i];
		size_t votes = 0;
		for (size_t j = 0; j < users->count; j++)
			votes += same_package(name, users->names[j]);
		votes = votes * 2 + is_telling(name);
		if (votes > best_votes) {
			best_votes = votes;
			best = name;
		}
	}
	return best;
}

static const struct go_type *fact_type(struct typing *typing, const struct code_fact *fact)
{
	switch (fact->kind) {
	case FACT_POINTER:
		return type_pointer_to(typing->types, fact->type);
	case FACT_SLICE:
		return type_slice_of(typing->types, fact->type);
	default:
		return fact->type;
	}
}

// The type of the word at `slot` by what it points to now: a guess good enough for a name.
static void held_type(struct typing *typing, remote_addr slot, struct text *text)
{
	remote_addr value = memory_u64(&typing->memory, slot);
	const struct span *span;
	object_id id = typing_find(typing, value, &span);
	uint32_t claim = id == OBJECT_NONE ? 0 : typing_claim_of(typing, id);

	if (!claim || claim & CLAIM_GUESS || value != span_object(span, id) + span->header_bytes)
		return;
	const struct go_type *type = type_by_id(typing->types, claim_type_id(claim));
	if (type == typing->known.string_bytes)
		text_append(text, " string");
	else if (claim & CLAIM_ARRAY)
		text_printf(text, " []%s", type->name);
	else if (type->synthetic) // the object behind a map or channel is called like that
		text_printf(text, " %s", type->name);
	else
		text_printf(text, " *%s", type->name);
}

// The variable that begins where code refers to, at or before `slot`. `*after`: the first reference
// behind `slot`.
static bool place_by_code(
	const struct typing_code *code, remote_addr slot, remote_addr *start, size_t *after)
{
	*after = code_first_reference(code, slot + 1);
	if (!*after || slot - code->references.items[*after - 1].address > VARIABLE_BYTES_MAX)
		return false;
	*start = code->references.items[*after - 1].address & ~UINT64_C(7);
	return true;
}

// What a function that makes maps returns: any map.
static bool is_any_map(const struct typing *typing, const struct go_type *type)
{
	return type->kind == GO_POINTER &&
	       (type->elem == typing->known.hmap || type->elem == typing->known.swiss_map);
}

static bool name_by_code(struct typing *typing, remote_addr slot, struct global_name *out)
{
	const struct typing_code *code = typing->code;
	struct users users = {.count = 0};
	_cleanup_text_ struct text text = TEXT_INIT, held = TEXT_INIT;
	remote_addr start;
	size_t after;

	if (!place_by_code(code, slot, &start, &after))
		return false;
	size_t first = code_first_reference(code, start);
	collect_users(typing, first, after, &users);
	const char *user = choose_user(&users);
	if (!user)
		return false;

	const struct code_fact *fact = code_fact_at(code, start);
	struct global_name name = {
		.start = start, .size = slot + 8 - start, .unnamed = are_initialisers(&users)};
	if (after < code->references.count &&
		code->references.items[after].address - start < VARIABLE_BYTES_MAX)
		name.size = code->references.items[after].address - start;
	if (fact)
		name.type = fact_type(typing, fact);
	held_type(typing, slot, &held);
	if (name.type && held.length && start == slot && is_any_map(typing, name.type))
		name.type = NULL;
	text_append(&text, "global");
	if (name.type)
		text_printf(&text, " %s", name.type->name);
	else if (held.length)
		text_append(&text, held.bytes);
	text_printf(&text, " used by %s", user);
	name.name = text.failed || held.failed
			    ? NULL
			    : hw_arena_strndup(&typing->arena, text.bytes, text.length);
	if (!name.name)
		return false;
	if (name.size < 8)
		name.size = 8;
	*out = name;
	return true;
}

static bool find_symbol(const struct typing *typing, remote_addr slot, struct symbol *out)
{
	struct executable *executable = typing->heap->runtime->executable;

	return !(typing->flags & TYPING_AS_STRIPPED) && executable &&
	       executable_symbol(executable, slot, out);
}

static bool name_by_symbol(struct typing *typing, remote_addr slot, struct global_name *out)
{
	struct symbol symbol;

	if (!find_symbol(typing, slot, &symbol))
		return false;
	const struct code_fact *fact = code_fact_at(typing->code, symbol.address);
	*out = (struct global_name){
		.name = symbol.name,
		.type = fact ? fact_type(typing, fact) : NULL,
		.start = symbol.address,
		.size = symbol.size,
		.exact = true,
	};
	return true;
}

bool typing_global(struct typing *typing, remote_addr slot, struct global_name *out)
{
	const struct known_global *known = find_known(typing, slot);

	if (known) {
		*out = known->name;
		return true;
	}
	return name_by_symbol(typing, slot, out) || name_by_code(typing, slot, out);
}

remote_addr typing_global_place(struct typing *typing, remote_addr slot)
{
	const struct known_global *known = find_known(typing, slot);
	struct symbol symbol;
	remote_addr start;
	size_t after;

	if (known)
		return known->name.start;
	if (find_symbol(typing, slot, &symbol))
		return symbol.address;
	return place_by_code(typing->code, slot, &start, &after) ? start : slot;
}
