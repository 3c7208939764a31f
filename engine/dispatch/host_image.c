/* The bytes of the program that engine/host/main.c is built to (CMakeLists.txt: bellwire_host). In the bellwire binary only: what is linked for a
 * test has none. */
__asm__(".pushsection .rodata.bw_host_image, \"a\", %progbits\n"
        ".balign 16\n"
        ".globl bw_host_image\n"
        ".hidden bw_host_image\n"
        "bw_host_image:\n"
        ".incbin \"" BW_HOST_IMAGE_FILE "\"\n"
        ".globl bw_host_image_end\n"
        ".hidden bw_host_image_end\n"
        "bw_host_image_end:\n"
        ".popsection\n");
