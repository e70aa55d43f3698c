// Listeners that come and go while others are being told of something.
#include <stdio.h>

#include <heapwhy/concurrent_list.h>

struct listener {
	int told;
};

int main(void)
{
	struct listener listeners[100] = {{0}};
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *reader =
		hw_epoch_join(epoch, "example"); // each walking thread has its own
	struct hw_concurrent_list *list = hw_concurrent_list_create(epoch, NULL);
	int told = 0;

	for (int i = 0; i < 100; i++)
		if (hw_concurrent_list_add(list, (uintptr_t)&listeners[i]) != HW_LIST_DONE)
			return 1;
	hw_concurrent_list_remove(list, (uintptr_t)&listeners[7]);

	hw_epoch_enter(reader); // others may add and remove meanwhile
	hw_concurrent_list_each (list, cursor, item)
		((struct listener *)(uintptr_t)item)->told++;
	hw_epoch_exit(reader);

	for (int i = 0; i < 100; i++)
		told += listeners[i].told;
	printf("%d listeners of %zu told\n", told, hw_concurrent_list_count(list));
	hw_concurrent_list_destroy(list);
	hw_epoch_destroy(epoch);
	return told != 99 || listeners[7].told;
}
