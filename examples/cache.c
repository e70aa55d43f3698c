// Sessions that live for half an hour, in at most a megabyte.
#include <stdio.h>
#include <stdlib.h>

#include <heapwhy/cache.h>

struct session {
	int user, users; // `users`: how many hold it, the cache included
};

// Called while the cache keeps the session where it is.
static void session_retain(void *context, uint64_t value)
{
	__atomic_fetch_add(&((struct session *)(uintptr_t)value)->users, 1, __ATOMIC_RELAXED);
}

static void session_drop(struct session *session)
{
	if (__atomic_fetch_sub(&session->users, 1, __ATOMIC_ACQ_REL) == 1)
		free(session);
}

static void session_release(
	void *context, uint64_t key, uint64_t value, enum hw_cache_reason reason)
{
	session_drop((struct session *)(uintptr_t)value);
}

int main(void)
{
	struct hw_cache *cache = hw_cache_create(&(struct hw_cache_options){
		.byte_limit = 1 << 20,
		.ttl_ns = 1800 * UINT64_C(1000000000),
		.retain = session_retain,
		.release = session_release,
	});
	uint64_t value;

	for (int user = 0; user < 100000; user++) {
		struct session *session = malloc(sizeof(*session));
		if (!session)
			return 1;
		*session = (struct session){user, 1};
		if (!hw_cache_put(cache, (uint64_t)user, (uintptr_t)session, 64, 0))
			session_drop(session);      // not taken in: still ours
		if (hw_cache_get(cache, 7, &value)) // user 7 is always there
			session_drop((struct session *)(uintptr_t)value);
	}
	struct hw_cache_stats stats = hw_cache_stats(cache);
	bool found = hw_cache_get(cache, 7, &value);
	if (found)
		session_drop((struct session *)(uintptr_t)value);
	printf("%d sessions, %d bytes; user 7 is %s\n", (int)stats.entries, (int)stats.bytes,
		found ? "in" : "out");
	hw_cache_destroy(cache);
	return !found || stats.bytes > 1 << 20;
}
