// A log that one thread writes while another reads it.
#include <pthread.h>
#include <stdio.h>

#include <heapwhy/append_list.h>

struct event {
	int number, twice;
};

enum { EVENTS = 10000 };

static void *write_log(void *log)
{
	for (int i = 0; i < EVENTS; i++)
		hw_append_list_append(log, &(struct event){i, 2 * i});
	return NULL;
}

int main(void)
{
	struct hw_append_list *log = hw_append_list_create(sizeof(struct event), EVENTS, NULL);
	int wrong = 0;
	pthread_t writer;

	pthread_create(&writer, NULL, write_log, log);
	for (size_t read = 0; read < EVENTS;)
		for (size_t count = hw_append_list_count(log); read < count; read++) {
			const struct event *event = hw_append_list_at(log, read);
			wrong += event->number != (int)read || event->twice != 2 * (int)read;
		}
	pthread_join(writer, NULL);
	int more = hw_append_list_append(log, &(struct event){0, 0});
	printf("%zu events; one more is %s\n", hw_append_list_count(log),
		more ? "taken" : "refused");
	hw_append_list_destroy(log);
	return wrong || more;
}
