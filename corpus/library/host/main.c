// A C program with Go inside: see ../library.go. Linked with the archive, or, with SHARED, the shared library that its
// argument names is loaded when the program runs already.
#include <dlfcn.h>
#include <unistd.h>

#ifdef SHARED
static void (*Fill)(int), (*Report)(void);
#else
#include "library.h"
#endif

int main(int argc, char **argv)
{
	char input;

#ifdef SHARED
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!library)
		return 2;
	Fill = (void (*)(int))dlsym(library, "Fill");
	Report = (void (*)(void))dlsym(library, "Report");
#endif
	Fill(20000);
	Report();
	return read(0, &input, 1) < 0;
}
