// What Go calls, and what calls Go.
#include "_cgo_export.h"

unsigned long compute(unsigned long n)
{
	volatile unsigned long x = 1;
	while (n--)
		x = x * 31 + n;
	return x;
}

void call_back(int n)
{
	callback(n);
}
