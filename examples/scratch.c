// Two functions that need a buffer for a moment, one inside the other.
#include <stdio.h>
#include <string.h>

#include <heapwhy/scratch.h>

static int is_palindrome(const char *word)
{
	struct hw_scratch scratch = hw_scratch_begin();
	size_t length = strlen(word);
	char *reversed = hw_scratch_alloc(&scratch, length + 1);
	int same = 0;

	if (reversed) {
		for (size_t i = 0; i < length; i++)
			reversed[i] = word[length - 1 - i];
		reversed[length] = '\0';
		same = !strcmp(word, reversed);
	}
	hw_scratch_end(&scratch);
	return same;
}

int main(void)
{
	struct hw_scratch scratch = hw_scratch_begin();
	char *doubled = hw_scratch_alloc(&scratch, 100);

	if (!doubled)
		return 1; // out of memory
	strcpy(doubled, "levellevel");
	int yes = is_palindrome(doubled);
	printf("%s is %sa palindrome\n", doubled, yes ? "" : "not ");
	hw_scratch_end(&scratch);
	return !yes;
}
