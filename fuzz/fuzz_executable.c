// Executables, build information and debug information of any bytes.
#include "executable_exercise.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	executable_exercise(bytes, size);
	return 0;
}
