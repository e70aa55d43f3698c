// libheapwhy from C++: containers that are inline, that are macros, and that are behind a pointer. tests/library.sh
// builds and runs it.
#include <cstdint>
#include <cstdio>
#include <new>

#include <heapwhy/arena.h>
#include <heapwhy/cache.h>
#include <heapwhy/map.h>
#include <heapwhy/pool.h>
#include <heapwhy/ring.h>
#include <heapwhy/vector.h>

namespace {

struct order {
	std::uint64_t number;
	double price;
};

// As a class would own it.
class orders {
public:
	orders() { hw_pool_init(&pool, sizeof(order), nullptr); }
	~orders() { hw_pool_deinit(&pool); }
	orders(const orders &) = delete;
	orders &operator=(const orders &) = delete;

	order *make(std::uint64_t number)
	{
		void *place = hw_pool_alloc(&pool);
		return place ? new (place) order{number, 1.5} : nullptr;
	}
	void drop(order *gone) { hw_pool_free(&pool, gone); }
	std::uint64_t live() const { return hw_pool_live(&pool); }

private:
	hw_pool pool;
};

bool use_inline()
{
	orders all;
	hw_map index;
	hw_ring queue;
	std::uint64_t sum = 0, value = 0;

	hw_map_init(&index);
	hw_ring_init(&queue, sizeof(order *), 0, nullptr);
	for (std::uint64_t i = 0; i < 1000; i++) {
		order *made = all.make(i);
		hw_map_put(&index, i, reinterpret_cast<std::uintptr_t>(made));
		*static_cast<order **>(hw_ring_push(&queue)) = made;
	}
	for (order *next; hw_ring_pop(&queue, &next); all.drop(next))
		sum += hw_map_get(&index, next->number, &value) ? next->number : 0;
	hw_ring_deinit(&queue);
	hw_map_deinit(&index);
	return sum == 499500 && all.live() == 0;
}

bool use_macros()
{
	HW_VECTOR(int) numbers = HW_VECTOR_INIT;
	bool pushed = true;

	for (int i = 0; i < 100; i++)
		pushed = pushed && hw_vector_push(&numbers, i);
	bool right = pushed && numbers.count == 100 && numbers.items[99] == 99;
	hw_vector_deinit(&numbers);
	return right;
}

bool use_pointers()
{
	hw_cache_options options = {};
	std::uint64_t value = 0;

	options.entry_limit = 100;
	hw_cache *cache = hw_cache_create(&options);
	bool right = cache && hw_cache_put(cache, 1, 2, 1, 0) && hw_cache_get(cache, 1, &value);
	hw_cache_destroy(cache);
	return right && value == 2;
}

} // namespace

int main()
{
	bool right = use_inline() && use_macros() && use_pointers();

	std::puts(right ? "as it should be" : "wrong");
	return right ? 0 : 1;
}
