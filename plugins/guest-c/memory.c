/* An allocator over linear memory: a list of the free blocks in the order of
 * their addresses, first fit, neighbours joined when a block is freed. */
#include <stddef.h>

#include "guest.h"

enum { PAGE = 65536, ALIGN = 8 };

/* In front of every block. `next` is used in free blocks only: in the others it
 * holds USED, so that freeing twice or freeing a stray address does no harm. */
typedef struct Block {
    uint32_t size; /* without this header */
    struct Block *next;
} Block;

_Static_assert(sizeof(Block) == ALIGN, "a header keeps what follows it aligned");

#define USED ((Block *)1)

extern uint8_t __heap_base; /* set by the linker: the end of stack and data */

static Block *free_blocks;
static uintptr_t heap_start, heap_end;

static uint8_t *body(Block *block) { return (uint8_t *)(block + 1); }

static void join_next(Block *block) {
    Block *next = block->next;
    if (next && body(block) + block->size == (uint8_t *)next) {
        block->size += sizeof(Block) + next->size;
        block->next = next->next;
    }
}

static void insert(Block *block) {
    Block *before = NULL;
    Block *after = free_blocks;
    while (after && after < block) {
        before = after;
        after = after->next;
    }
    block->next = after;
    join_next(block);
    if (before) {
        before->next = block;
        join_next(before);
    } else {
        free_blocks = block;
    }
}

static void add_region(uintptr_t start, uintptr_t end) {
    Block *block = (Block *)start;
    block->size = end - start - sizeof(Block);
    insert(block);
}

static void start_heap(void) {
    heap_start = ((uintptr_t)&__heap_base + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    heap_end = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE;
    if (heap_end - heap_start > sizeof(Block)) {
        add_region(heap_start, heap_end);
    } else {
        heap_start = heap_end;
    }
}

static bool grow(uint32_t size) {
    uint32_t pages = size / PAGE + 1; /* room for the header as well: see guest_alloc */
    size_t before = __builtin_wasm_memory_grow(0, pages);
    if (before == SIZE_MAX) return false;
    uintptr_t start = before * PAGE;
    /* The last page of a 4 GiB memory would end at address 0: leave it out. */
    uintptr_t end = before + pages == 65536 ? start + (pages - 1) * PAGE : start + pages * PAGE;
    if (end == start) return false;
    heap_end = end;
    add_region(start, end);
    return true;
}

static void *take(uint32_t size) {
    for (Block **link = &free_blocks; *link; link = &(*link)->next) {
        Block *block = *link;
        if (block->size < size) continue;
        uint32_t rest = block->size - size;
        if (rest > sizeof(Block)) {
            Block *tail = (Block *)(body(block) + size);
            tail->size = rest - sizeof(Block);
            tail->next = block->next;
            *link = tail;
            block->size = size;
        } else {
            *link = block->next;
        }
        block->next = USED;
        return body(block);
    }
    return NULL;
}

void *guest_alloc(uint32_t len) {
    if (len > UINT32_MAX - 2 * PAGE) return NULL;
    if (!heap_end) start_heap();
    uint32_t size = len ? (len + ALIGN - 1) & ~(uint32_t)(ALIGN - 1) : ALIGN;
    void *data = take(size);
    if (!data && grow(size + sizeof(Block))) data = take(size);
    return data;
}

void guest_free(void *data) {
    uintptr_t address = (uintptr_t)data;
    if (address < heap_start + sizeof(Block) || address >= heap_end || address % ALIGN) return;
    Block *block = (Block *)data - 1;
    if (block->next == USED) insert(block);
}

EXPORT(plugin_alloc) void *plugin_alloc(uint32_t len) { return guest_alloc(len); }

EXPORT(plugin_dealloc) void plugin_dealloc(void *data, uint32_t len) {
    (void)len; /* the block knows its size */
    guest_free(data);
}
