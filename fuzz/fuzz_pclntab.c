// debuginfo/pclntab on any bytes. The input is what tests/pclntab_image.h describes.
#include "pclntab_image.h"

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void ask(struct pclntab *table, remote_addr pc)
{
	struct pcln_position positions[16];
	struct pcln_function function;

	if (!pclntab_find(table, pc, &function))
		return;
	pclntab_frame_size(table, &function, pc);
	for (int kind = PCDATA_UNSAFE_POINT; kind <= PCDATA_INL_TREE_INDEX; kind++)
		pclntab_data(table, &function, (enum pcln_data)kind, pc);
	for (int kind = FUNCDATA_ARGS_POINTER_MAPS; kind <= FUNCDATA_INL_TREE; kind++)
		pclntab_funcdata_bytes(
			table, pclntab_funcdata(table, &function, (enum pcln_funcdata)kind), 16);
	pclntab_positions(table, &function, pc, positions, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct pclntab_location location;
	struct pcln_function function;
	struct target *target;
	struct pclntab *table;
	struct error *err;

	if (!pclntab_image_open(bytes, size, &target, &location))
		return 0;
	err = pclntab_create(target, &location, &table);
	if (err) {
		error_destroy(err);
	} else {
		for (remote_addr step = 0; step < 0x100; step += 3)
			ask(table, location.min_pc + step);
		pclntab_find_name(table, "runtime.goexit", &function);
		pclntab_destroy(table);
	}
	target_destroy(target);
	return 0;
}
