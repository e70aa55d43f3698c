// An allocator of one's own: it counts, and passes on to the heap.
#include <stdio.h>

#include <heapwhy/allocator.h>

struct counting {
	struct hw_allocator allocator;
	size_t calls;
};

static void *counting_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	((struct counting *)self)->calls++;
	return hw_alloc(&hw_heap, bytes, alignment);
}

static void counting_free(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	hw_free(&hw_heap, memory, bytes, alignment);
}

int main(void)
{
	struct counting counting = {{counting_alloc, counting_free, NULL}, 0};
	void *block = hw_alloc(&counting.allocator, 100, 16);

	if (block)
		block = hw_resize(&counting.allocator, block, 100, 5000, 16);
	hw_free(&counting.allocator, block, 5000, 16);
	printf("%zu blocks were asked for\n", counting.calls);
	return counting.calls != 2;
}
