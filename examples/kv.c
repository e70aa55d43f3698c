// A value that is updated while somebody still reads the old one.
#include <stdio.h>
#include <string.h>

#include <heapwhy/kv.h>

int main(void)
{
	struct hw_kv *entry = hw_kv_make("user:17", 7, "Ada", 3, NULL);

	if (!entry)
		return 1; // out of memory
	struct hw_kv *reader = hw_kv_hold(entry);
	if (!hw_kv_update(&entry, "Grace", 5)) // held: a copy takes its place
		return 1;
	printf("was %.*s, is %.*s\n", (int)reader->value_bytes, hw_kv_value(reader),
		(int)entry->value_bytes, hw_kv_value(entry));
	int wrong = memcmp(hw_kv_value(reader), "Ada", 3) || memcmp(hw_kv_value(entry), "Grace", 5);
	hw_kv_release(reader);
	hw_kv_release(entry);
	return wrong;
}
