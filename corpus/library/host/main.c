// A C program with Go inside: see ../library.go.
#include <unistd.h>

#include "library.h"

int main(void)
{
	char input;

	Fill(20000);
	Report();
	return read(0, &input, 1) < 0;
}
