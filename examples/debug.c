// A violation, as a handler of one's own sees it.
#include <stdio.h>

#include <heapwhy/debug.h>

static int violations;

static void count(const struct hw_violation *violation)
{
	char text[256];

	hw_violation_print(violation, text, sizeof(text));
	printf("%s\n", text);
	violations++;
}

int main(void)
{
	char node[32];

	hw_debug_set_handler(count);
	hw_debug_poison(node, sizeof(node));
	if (!hw_debug_is_poisoned(node, sizeof(node)))
		return 1;
	hw_debug_allow(node, sizeof(node));
	hw_debug_report(&(struct hw_violation){HW_FREED_TWICE, node, sizeof(node), HW_HERE});
	return violations != 1;
}
