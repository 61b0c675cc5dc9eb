// A Vulkan layer under which a device has as much memory as CLRP_TEST_DEVICE_BYTES says: beyond it
// vkAllocateMemory fails as a full GPU's does. Vulkan's headers are not needed: the few structs
// below are what the loader hands to a layer (Vulkan specification; LoaderLayerInterface.md).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int32_t Result;
typedef void (*Function)(void);
typedef Function (*GetProc)(void *handle, const char *name);

enum { OUT_OF_DEVICE_MEMORY = -2, INITIALIZATION_FAILED = -3 };
enum { INSTANCE_LINK = 47, DEVICE_LINK = 48, LINK_INFO = 0 };

typedef struct {
  uint32_t type;
  const void *next;
} Header;
typedef struct Link {
  struct Link *next;
  GetProc instance_proc, device_proc;
} Link;
typedef struct {
  Header header;
  uint32_t function;
  Link *link;
} LayerInfo;
typedef struct {
  Header header;
  uint64_t bytes;
} MemoryInfo;
typedef struct {
  uint32_t type;
  void *next;
  uint32_t version;
  GetProc instance_proc, device_proc, physical_device_proc;
} Negotiation;
typedef Result (*CreateInstance)(const Header *, const void *, void **);
typedef Result (*CreateDevice)(void *, const Header *, const void *, void **);
typedef Result (*Allocate)(void *, const MemoryInfo *, const void *, uint64_t *);

static void *instance;
static GetProc next_instance_proc, next_device_proc;
static uint64_t used;

static LayerInfo *link_of(const Header *info, uint32_t type) {
  for (const Header *at = info->next; at; at = at->next)
    if (at->type == type && ((LayerInfo *)at)->function == LINK_INFO)
      return (LayerInfo *)at;
  return NULL;
}

static Result allocate(void *device, const MemoryInfo *info, const void *allocator, uint64_t *memory) {
  const char *limit = getenv("CLRP_TEST_DEVICE_BYTES");
  uint64_t sum = __atomic_add_fetch(&used, info->bytes, __ATOMIC_SEQ_CST);
  if (limit && sum > strtoull(limit, NULL, 10))
    return OUT_OF_DEVICE_MEMORY;
  return ((Allocate)next_device_proc(device, "vkAllocateMemory"))(device, info, allocator, memory);
}

static Function device_proc(void *device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr"))
    return (Function)device_proc;
  return strcmp(name, "vkAllocateMemory") ? next_device_proc(device, name) : (Function)allocate;
}

static Result create_device(void *physical, const Header *info, const void *allocator, void **device) {
  LayerInfo *layer = link_of(info, DEVICE_LINK);
  if (!layer)
    return INITIALIZATION_FAILED;
  GetProc instance_proc = layer->link->instance_proc;
  next_device_proc = layer->link->device_proc;
  layer->link = layer->link->next;
  return ((CreateDevice)instance_proc(instance, "vkCreateDevice"))(physical, info, allocator, device);
}

static Result create_instance(const Header *info, const void *allocator, void **made) {
  LayerInfo *layer = link_of(info, INSTANCE_LINK);
  if (!layer)
    return INITIALIZATION_FAILED;
  next_instance_proc = layer->link->instance_proc;
  layer->link = layer->link->next;
  Result result =
      ((CreateInstance)next_instance_proc(NULL, "vkCreateInstance"))(info, allocator, made);
  instance = *made;
  return result;
}

static Function instance_proc(void *handle, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr"))
    return (Function)instance_proc;
  if (!strcmp(name, "vkCreateInstance"))
    return (Function)create_instance;
  if (!strcmp(name, "vkCreateDevice"))
    return (Function)create_device;
  if (!strcmp(name, "vkGetDeviceProcAddr"))
    return (Function)device_proc;
  return next_instance_proc ? next_instance_proc(handle, name) : NULL;
}

Result vkNegotiateLoaderLayerInterfaceVersion(Negotiation *with) {
  with->version = 2;
  with->instance_proc = instance_proc;
  with->device_proc = device_proc;
  with->physical_device_proc = NULL;
  return 0;
}
