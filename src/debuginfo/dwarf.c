// Opening the debug information and indexing its top level.
//
// libdw decompresses the sections when it is opened; then one walk over the children of each Go
// compilation unit notes where functions and globals lie, and the hashes of the names that can be
// asked for. Nothing nested is looked at.
#include "debuginfo/dwarf_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "debuginfo/executable_private.h"

bool dwarf_entry(const struct dwarf *dwarf, dwarf_ref ref, Dwarf_Die *out)
{
	return ref != 0 && dwarf_offdie(dwarf->dw, ref, out) != NULL;
}

bool entry_number(Dwarf_Die *entry, unsigned attribute, uint64_t *out)
{
	Dwarf_Attribute value;
	Dwarf_Word word;
	Dwarf_Addr address;

	if (!dwarf_attr_integrate(entry, attribute, &value))
		return false;
	if (dwarf_formudata(&value, &word) == 0)
		*out = word;
	else if (dwarf_formaddr(&value, &address) == 0)
		*out = address;
	else
		return false;
	return true;
}

dwarf_ref entry_reference(Dwarf_Die *entry, unsigned attribute)
{
	Dwarf_Attribute value;
	Dwarf_Die target;

	if (!dwarf_attr_integrate(entry, attribute, &value) || !dwarf_formref_die(&value, &target))
		return 0;
	return dwarf_dieoffset(&target);
}

static uint64_t name_hash(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return hash;
}

// The static address of a global: a location of the one operation DW_OP_addr. Go writes it as a
// block also in versions of DWARF whose expressions are no blocks, which is why dwarf_getlocation()
// does not serve.
static bool global_address(Dwarf_Die *entry, uint64_t *address)
{
	Dwarf_Attribute location;
	Dwarf_Block block;

	if (!dwarf_attr(entry, DW_AT_location, &location) ||
		dwarf_formblock(&location, &block) != 0 || block.length != 1 + sizeof(*address) ||
		block.data[0] != DW_OP_addr)
		return false;
	memcpy(address, block.data + 1, sizeof(*address));
	return *address != 0;
}

static bool index_function(struct dwarf *dwarf, Dwarf_Die *entry)
{
	Dwarf_Addr low, high;

	if (dwarf_lowpc(entry, &low) != 0 || dwarf_highpc(entry, &high) != 0 || high <= low)
		return true;
	struct dwarf_function function = {
		low + dwarf->bias, high + dwarf->bias, dwarf_dieoffset(entry)};
	return hw_vector_push(&dwarf->functions, function);
}

static bool index_global(struct dwarf *dwarf, Dwarf_Die *entry)
{
	uint64_t address;
	const char *name = dwarf_diename(entry);

	if (!name || !global_address(entry, &address))
		return true;
	struct dwarf_global global = {
		name, address + dwarf->bias, entry_reference(entry, DW_AT_type)};
	return hw_vector_push(&dwarf->globals, global);
}

static bool index_name(struct dwarf *dwarf, Dwarf_Die *entry)
{
	const char *name = dwarf_diename(entry);

	if (!name)
		return true;
	struct dwarf_name named = {name_hash(name), dwarf_dieoffset(entry)};
	return hw_vector_push(&dwarf->names, named);
}

static bool index_entry(struct dwarf *dwarf, Dwarf_Die *entry)
{
	switch (dwarf_tag(entry)) {
	case DW_TAG_subprogram:
		return index_function(dwarf, entry);
	case DW_TAG_variable:
		return index_global(dwarf, entry);
	case DW_TAG_structure_type:
	case DW_TAG_constant:
		return index_name(dwarf, entry);
	default:
		return true;
	}
}

static bool index_unit(struct dwarf *dwarf, Dwarf_Die *unit)
{
	Dwarf_Die entry;

	if (dwarf_srclang(unit) != DW_LANG_Go || dwarf_child(unit, &entry) != 0)
		return true;
	do {
		if (!index_entry(dwarf, &entry))
			return false;
	} while (dwarf_siblingof(&entry, &entry) == 0);
	return true;
}

static int function_compare(const void *a, const void *b)
{
	const struct dwarf_function *x = a, *y = b;

	return x->low < y->low ? -1 : x->low > y->low;
}

static int global_compare(const void *a, const void *b)
{
	const struct dwarf_global *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static int name_compare(const void *a, const void *b)
{
	const struct dwarf_name *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

#define sort_vector(vector, compare)                                                      \
	do {                                                                              \
		if ((vector)->count)                                                      \
			qsort((vector)->items, (vector)->count, sizeof(*(vector)->items), \
				compare);                                                 \
	} while (0)

static struct error *index_build(struct dwarf *dwarf)
{
	Dwarf_Off offset = 0, next;
	size_t header_size;

	// A damaged unit header ends the walk: what was read until then is used.
	while (dwarf_nextcu(dwarf->dw, offset, &next, &header_size, NULL, NULL, NULL) == 0) {
		Dwarf_Die unit;
		if (dwarf_offdie(dwarf->dw, offset + header_size, &unit) &&
			!index_unit(dwarf, &unit))
			return error_no_memory();
		offset = next;
	}
	sort_vector(&dwarf->functions, function_compare);
	sort_vector(&dwarf->globals, global_compare);
	sort_vector(&dwarf->names, name_compare);
	if (dwarf->names.count == 0 && dwarf->functions.count == 0)
		return error_create(
			ERROR_TARGET, "its debug information does not describe Go code");
	return NULL;
}

void dwarf_close(struct dwarf *dwarf)
{
	if (!dwarf)
		return;
	hw_vector_deinit(&dwarf->functions);
	hw_vector_deinit(&dwarf->globals);
	hw_vector_deinit(&dwarf->names);
	dwarf_end(dwarf->dw);
	free(dwarf);
}

struct error *dwarf_open(const struct executable *executable, struct dwarf **out)
{
	struct dwarf *dwarf = calloc(1, sizeof(*dwarf));

	if (!dwarf)
		return error_no_memory();
	dwarf->bias = executable_bias(executable);
	dwarf->dw = dwarf_begin_elf(executable_elf(executable), DWARF_C_READ, NULL);
	struct error *err;
	if (dwarf->dw)
		err = index_build(dwarf);
	else
		err = error_create(ERROR_TARGET, "%s", dwarf_errmsg(-1));
	if (err) {
		dwarf_close(dwarf);
		return error_wrap(err, "debug information");
	}
	*out = dwarf;
	return NULL;
}

const struct dwarf_global *dwarf_globals(const struct dwarf *dwarf, size_t *count)
{
	*count = dwarf->globals.count;
	return dwarf->globals.items;
}

const struct dwarf_function *dwarf_functions(const struct dwarf *dwarf, size_t *count)
{
	*count = dwarf->functions.count;
	return dwarf->functions.items;
}

bool dwarf_function_at(const struct dwarf *dwarf, remote_addr pc, struct dwarf_function *out)
{
	const struct dwarf_function *functions = dwarf->functions.items;
	size_t at = FIRST_WHERE(i, dwarf->functions.count, functions[i].low > pc);

	if (at == 0 || pc >= functions[at - 1].high)
		return false;
	*out = functions[at - 1];
	return true;
}

bool dwarf_find(struct dwarf *dwarf, const char *name, int tag, Dwarf_Die *out)
{
	const struct dwarf_name *names = dwarf->names.items;
	uint64_t hash = name_hash(name);
	size_t at = FIRST_WHERE(i, dwarf->names.count, names[i].hash >= hash);

	for (; at < dwarf->names.count && names[at].hash == hash; at++) {
		Dwarf_Die entry;
		if (!dwarf_entry(dwarf, names[at].ref, &entry) || dwarf_tag(&entry) != tag)
			continue;
		const char *found = dwarf_diename(&entry);
		if (found && strcmp(found, name) == 0) {
			*out = entry;
			return true;
		}
	}
	return false;
}
