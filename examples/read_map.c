// Routes that every request looks up and hardly anybody changes.
#include <stdio.h>

#include <heapwhy/read_map.h>

int main(void)
{
	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
	struct hw_epoch_reader *reader =
		hw_epoch_join(epoch, "example"); // each reading thread has its own
	struct hw_read_map *routes = hw_read_map_create(epoch, NULL);
	uint64_t port = 0;

	for (uint64_t address = 1; address <= 1000; address++)
		if (!hw_read_map_put(routes, address, 8000 + address))
			return 1;
	bool found = hw_read_map_get(routes, reader, 42, &port); // no lock
	for (uint64_t address = 1; address <= 1000; address++)
		hw_read_map_delete(routes, address, NULL);
	printf("port %d; %zu bytes held when empty\n", (int)port, hw_read_map_held_bytes(routes));

	hw_read_map_destroy(routes);
	hw_epoch_leave(reader);
	hw_epoch_destroy(epoch);
	return !found || port != 8042;
}
