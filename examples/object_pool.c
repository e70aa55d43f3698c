// Buffers that are made once and used again and again.
#include <stdio.h>

#include <heapwhy/object_pool.h>

struct buffer {
	size_t used;
	char text[64 << 10];
};

static void buffer_reset(void *context, void *buffer)
{
	((struct buffer *)buffer)->used = 0;
}

static bool buffer_make(void *context, void *buffer)
{
	buffer_reset(context, buffer);
	return true;
}

int main(void)
{
	struct hw_object_pool *pool = hw_object_pool_create(&(struct hw_object_pool_options){
		.object_bytes = sizeof(struct buffer),
		.create = buffer_make,
		.reset = buffer_reset,
		.idle_bytes = 8 << 20,
	});
	struct hw_object_pool_local *local = hw_object_pool_join(pool); // each thread has its own

	hw_object_pool_warm(pool, 4);
	for (int request = 0; request < 1000; request++) {
		struct buffer *buffer = hw_object_pool_get(local);
		if (!buffer)
			return 1;
		buffer->used += (size_t)sprintf(buffer->text + buffer->used, "request %d", request);
		hw_object_pool_put(local, buffer);
	}
	struct hw_object_pool_stats stats = hw_object_pool_stats(pool);
	printf("%d hits, %d misses, %zu bytes held\n", (int)stats.hits, (int)stats.misses,
		stats.held_bytes);
	hw_object_pool_leave(local);
	return hw_object_pool_destroy(pool) != 0 || stats.misses != 0;
}
