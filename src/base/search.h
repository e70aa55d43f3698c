// Binary search over anything that has an order.
//
//	size_t at = FIRST_WHERE(i, list.count, list.items[i].end > address);
//
// The least index below `count` for which the condition holds, `count` where there is none. It must hold for all that
// come after one for which it does. The condition is looked at O(log count) times.
#ifndef BASE_SEARCH_H
#define BASE_SEARCH_H

#include <stddef.h>

#define FIRST_WHERE(index, count, condition)                      \
	({                                                        \
		size_t low_ = 0, high_ = (count);                 \
		while (low_ < high_) {                            \
			size_t index = low_ + (high_ - low_) / 2; \
			if (condition)                            \
				high_ = index;                    \
			else                                      \
				low_ = index + 1;                 \
		}                                                 \
		low_;                                             \
	})

#endif
