// Places where it matters what other threads do meanwhile. Nothing, but in the builds that the tests make with
// -DHW_RACES=1: there a thread gives way at them now and then, so that a few cores and little time are enough to try
// what would otherwise happen once a month (tests/races.c).
#ifndef CONTAINERS_RACES_H
#define CONTAINERS_RACES_H

#if HW_RACES
void race_point(void);
#else
static inline void race_point(void)
{
}
#endif

#endif
