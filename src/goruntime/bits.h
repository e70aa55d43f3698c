// Runs of bits in arrays of 64-bit words, lowest bit first (Go's own order on little-endian
// machines).
#ifndef GORUNTIME_BITS_H
#define GORUNTIME_BITS_H

#include <stddef.h>
#include <stdint.h>

// The 64 bits from `position` on. Reads one word beyond the one that holds `position`.
static inline uint64_t bits_extract(const uint64_t *bits, uint64_t position)
{
	unsigned shift = position & 63;
	const uint64_t *word = bits + (position >> 6);

	// Shifting by 64 is undefined, so the upper word is shifted in two steps.
	return word[0] >> shift | word[1] << 1 << (63 - shift);
}

// The lowest `count` bits set; all 64 for more.
static inline uint64_t bits_low(uint64_t count)
{
	return count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
}

// The lowest `count` (1 .. 64) of these bits; reads no word that holds none of them.
static inline uint64_t bits_extract_some(const uint64_t *bits, uint64_t position, uint64_t count)
{
	unsigned shift = position & 63;
	const uint64_t *word = bits + (position >> 6);
	uint64_t value = word[0] >> shift;

	if (shift + count > 64)
		value |= word[1] << (64 - shift);
	return value & bits_low(count);
}

// Sets in `to` those bits from `position` on that are set in the lowest `count` (at most 64) bits
// of `value`.
static inline void bits_or(uint64_t *to, uint64_t position, uint64_t value, unsigned count)
{
	unsigned shift = position & 63;

	value &= bits_low(count);
	to[position >> 6] |= value << shift;
	if (shift && value >> (64 - shift))
		to[(position >> 6) + 1] |= value >> (64 - shift);
}

static inline uint64_t bits_words(uint64_t count)
{
	return (count + 63) / 64;
}

#endif
