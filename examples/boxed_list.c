// Names that the list frees.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <heapwhy/boxed_list.h>

int main(void)
{
	struct hw_boxed_list names;
	const char *words[] = {"arena", "pool", "ring"};

	hw_boxed_list_init(&names, free, NULL);
	for (int i = 0; i < 3; i++) {
		char *name = strdup(words[i]);
		if (!name || !hw_boxed_list_push_back(&names, name)) {
			free(name); // it stayed ours
			return 1;
		}
	}
	char *first = hw_boxed_list_pop_front(&names);
	printf("%s, and %d more\n", first, (int)names.count);
	int wrong = strcmp(first, "arena") != 0;
	free(first);
	hw_boxed_list_deinit(&names); // frees the other two
	return wrong;
}
