// A service that takes no more than its control group leaves it, also when somebody else changes the limits.
#include <stdio.h>
#include <string.h>

#include <heapwhy/cgroup.h>

static void drop_something(struct hw_budget *budget, void *context)
{
	puts("the group is near memory.high");
}

int main(void)
{
	struct hw_cgroup group;
	struct hw_budget service;
	enum hw_cgroup_status status = hw_cgroup_find(&group, NULL);
	uint64_t room;
	int error = 0;

	hw_budget_init(&service, NULL, 0);
	hw_budget_set_soft(&service, 0, drop_something, NULL);
	if (status != HW_CGROUP_FOUND) {
		printf("no limits to follow: %s\n", hw_cgroup_words(status));
	} else {
		error = hw_cgroup_limit(&group, &service, 16 << 20); // once a second, in a service
		if (!error)
			error = hw_cgroup_room(&group, HW_CGROUP_MAX, &room);
		if (error)
			printf("%s: %s\n", group.directory, strerror(error));
		else if (room == UINT64_MAX)
			printf("%s: no limit\n", group.directory);
		else
			printf("%s: %llu bytes left\n", group.directory, (unsigned long long)room);
	}
	hw_budget_deinit(&service);
	return error != 0;
}
