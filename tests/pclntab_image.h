// A small pclntab made by hand, as one run of bytes: for the unit tests, and the seed of the
// fuzzer's corpus.
//
// The bytes are a struct pclntab_location in 32-bit numbers (addresses relative to
// PCLNTAB_IMAGE_BASE), followed by the image that these addresses lie in.
#ifndef TESTS_PCLNTAB_IMAGE_H
#define TESTS_PCLNTAB_IMAGE_H

#include "debuginfo/pclntab.h"

#define PCLNTAB_IMAGE_BASE UINT64_C(0x400000)
#define PCLNTAB_IMAGE_TEXT UINT64_C(0x401000)

// Two functions. main.outer [text, text + 0x40): 40 bytes of frame from +8 on, main.inner inlined
// at +0x10 .. +0x20 with a deeper main.innermost at +0x18; lines 10, 20, 30; 1 argument word, 2
// bitmaps of 3 words for locals. runtime.goexit [text + 0x40, text + 0x50): the outermost function
// of all stacks, in assembly.
//
// `go_1_20`: the newer format. Free the result.
uint8_t *pclntab_image(bool go_1_20, size_t *size);

// A target and a location from such bytes. False when there are too few of them.
bool pclntab_image_open(const uint8_t *bytes, size_t size, struct target **target,
	struct pclntab_location *location);

#endif
