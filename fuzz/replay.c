// Runs a fuzz target over files, so that the committed corpus is tested by every build. With clang
// the same target is linked to libFuzzer instead (fuzz/meson.build).
//
//	fuzz_NAME_replay FILE...
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum { INPUT_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		_cleanup_fclose_ FILE *file = fopen(argv[i], "rb");
		// Exactly as long as the input: the address sanitizer then sees a read beyond it.
		_cleanup_free_ uint8_t *buffer = malloc(INPUT_BYTES_MAX);
		uint8_t *input;
		size_t size;

		if (!file || !buffer) {
			perror(argv[i]);
			return 1;
		}
		size = fread(buffer, 1, INPUT_BYTES_MAX, file);
		input = realloc(take_pointer(buffer), size ? size : 1);
		LLVMFuzzerTestOneInput(input, size);
		free(input);
	}
	return 0;
}
