/*
 * histogram.h - latencies in nanoseconds, counted in buckets of at most 1.6 % of their value. No allocation,
 * O(1) to add.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

struct histogram {
	uint64_t count, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
	unsigned shift = 0;

	if (value >> (HISTOGRAM_BITS + 1) != 0)
		shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
	histogram->buckets[((uint64_t)shift << HISTOGRAM_BITS) + (value >> shift)]++;
	histogram->count++;
	if (value > histogram->max)
		histogram->max = value;
}

/* The value below which `part` (0 .. 1) of all lie; 0 where there is none. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, double part)
{
	const uint64_t rank = (uint64_t)((double)histogram->count * part);
	uint64_t seen = 0;

	for (unsigned at = 0; at < HISTOGRAM_BUCKETS; at++) {
		seen += histogram->buckets[at];
		if (seen > rank) {
			const unsigned shift =
				at >> (HISTOGRAM_BITS + 1) == 0 ? 0 : (at >> HISTOGRAM_BITS) - 1;
			return (uint64_t)(at - (shift << HISTOGRAM_BITS)) << shift;
		}
	}
	return histogram->max;
}

#endif
