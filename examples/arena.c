// A tree whose nodes die together.
#include <stdio.h>

#include <heapwhy/arena.h>

struct node {
	struct node *left, *right;
};

static struct node *tree_make(struct hw_arena *arena, int depth)
{
	struct node *node = hw_arena_zalloc(arena, sizeof(*node));

	if (node && depth) {
		node->left = tree_make(arena, depth - 1);
		node->right = tree_make(arena, depth - 1);
	}
	return node;
}

int main(void)
{
	struct hw_arena arena;

	hw_arena_init(&arena, 0);
	struct node *root = tree_make(&arena, 10);
	printf("%zu bytes used, %zu held\n", arena.used_bytes, arena.held_bytes);
	hw_arena_deinit(&arena); // 2,047 nodes at once
	return !root;
}
