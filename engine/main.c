#include "cmd/command.h"

int main(int argc, char **argv)
{
    return bw_commands_main(argc, argv);
}
