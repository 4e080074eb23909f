/* SPDX-License-Identifier: ISC */
/* Other programs, where the kernel's own interface is out of reach. */
#ifndef OS_PROGRAM_H
#define OS_PROGRAM_H

/* Run @argv (NULL-ended, the program's name first, found by PATH) with
 * @input on its standard input, at most 64 KiB; what it says is dropped. Returns its exit code, or
 * -errno. */
int program_run(const char *const argv[], const char *input);

#endif
