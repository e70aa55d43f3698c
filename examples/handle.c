// A name that notices when its session is gone, and a map from users to sessions that forgets them.
#include <stdio.h>

#include <heapwhy/handle.h>

struct session {
	int user;
};

int main(void)
{
	struct hw_handles handles;
	struct hw_weak_map by_user;
	struct session first = {1}, second = {2};

	hw_handles_init(&handles, NULL);
	hw_weak_map_init(&by_user, &handles, NULL);
	hw_handle one = hw_handle_make(&handles, &first);
	hw_handle two = hw_handle_make(&handles, &second);
	if (!one || !two || !hw_weak_map_put(&by_user, 1, one) ||
		!hw_weak_map_put(&by_user, 2, two))
		return 1; // out of memory

	hw_handle_drop(&handles, one); // the session ends
	struct session *gone = hw_weak_map_get(&by_user, 1), *there = hw_weak_map_get(&by_user, 2);
	printf("user 1: %s, user 2: %s; %d key left\n", gone ? "here" : "gone",
		there ? "here" : "gone", (int)by_user.map.count);
	int wrong = gone || there != &second || hw_handle_get(&handles, one);
	hw_weak_map_deinit(&by_user);
	hw_handles_deinit(&handles);
	return wrong;
}
