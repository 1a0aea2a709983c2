#include <unistd.h>
/* Holds a pod's namespaces; does nothing else. */
int main(void) { for (;;) pause(); }
