/*
 * A libnvidia-ml.so.1 with just what the agent asks for, so that its real path through the NVML bindings runs
 * on a machine without a GPU. The environment says what it answers:
 *
 *   NVML_STUB_GPUS          number of GPUs (0)
 *   NVML_STUB_TOTAL         bytes of memory of each (85899345920)
 *   NVML_STUB_USED          bytes used on GPU 0; GPU n uses n + 1 times that (1073741824)
 *   NVML_STUB_UTILIZATION   percent (37)
 *   NVML_STUB_MIG           1: partitioned (0)
 *   NVML_STUB_FAIL          calls that fail, and with which nvmlReturn_t: "nvmlInitWithFlags=9"; for one GPU
 *                           only: "nvmlDeviceGetName:1=3"; several with commas; "=hang" never returns
 *
 * Declarations follow NVIDIA's nvml.h (NVML API Reference Guide).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUCCESS 0
#define INVALID_ARGUMENT 2

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned int gpu, memory; } utilization;
typedef struct { unsigned int index; } device;

#define RESERVED (512ULL << 20)

static device devices[64];

static unsigned long long number(const char *name, unsigned long long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* What NVML_STUB_FAIL says of a call, for a GPU or (index < 0) for none. */
static int failure(const char *call, int index)
{
    const char *rule = getenv("NVML_STUB_FAIL");
    char one[128], both[128];
    snprintf(one, sizeof one, "%s=", call);
    snprintf(both, sizeof both, "%s:%d=", call, index);
    while (rule && *rule) {
        const char *value = NULL;
        if (!strncmp(rule, one, strlen(one)))
            value = rule + strlen(one);
        else if (index >= 0 && !strncmp(rule, both, strlen(both)))
            value = rule + strlen(both);
        if (value) {
            if (!strncmp(value, "hang", 4))
                for (;;)
                    pause();
            return atoi(value);
        }
        rule = strchr(rule, ',');
        if (rule)
            rule++;
    }
    return SUCCESS;
}

#define FAIL(call, index) do { int code = failure(call, index); if (code) return code; } while (0)

int nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    FAIL("nvmlInitWithFlags", -1);
    return SUCCESS;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void)
{
    FAIL("nvmlShutdown", -1);
    return SUCCESS;
}

const char *nvmlErrorString(int code)
{
    static char text[32];
    snprintf(text, sizeof text, "stub error %d", code);
    return text;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    FAIL("nvmlDeviceGetCount_v2", -1);
    *count = (unsigned int)number("NVML_STUB_GPUS", 0);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device **handle)
{
    FAIL("nvmlDeviceGetHandleByIndex_v2", (int)index);
    if (index >= number("NVML_STUB_GPUS", 0) || index >= sizeof devices / sizeof *devices)
        return INVALID_ARGUMENT;
    devices[index].index = index;
    *handle = &devices[index];
    return SUCCESS;
}

int nvmlDeviceGetName(device *gpu, char *name, unsigned int length)
{
    FAIL("nvmlDeviceGetName", (int)gpu->index);
    snprintf(name, length, "NVIDIA Stub %u", gpu->index);
    return SUCCESS;
}

int nvmlDeviceGetUUID(device *gpu, char *uuid, unsigned int length)
{
    FAIL("nvmlDeviceGetUUID", (int)gpu->index);
    snprintf(uuid, length, "GPU-00000000-0000-0000-0000-%012u", gpu->index);
    return SUCCESS;
}

static unsigned long long used(const device *gpu)
{
    return number("NVML_STUB_USED", 1ULL << 30) * (gpu->index + 1);
}

/* As the driver does: the first version counts what the driver keeps for itself as used, the second does not. */
int nvmlDeviceGetMemoryInfo(device *gpu, memory_v1 *memory)
{
    FAIL("nvmlDeviceGetMemoryInfo", (int)gpu->index);
    memory->total = number("NVML_STUB_TOTAL", 80ULL << 30);
    memory->used = used(gpu) + RESERVED;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(device *gpu, memory_v2 *memory)
{
    FAIL("nvmlDeviceGetMemoryInfo_v2", (int)gpu->index);
    if (memory->version != (sizeof *memory | 2U << 24))
        return 25; /* NVML_ERROR_ARGUMENT_VERSION_MISMATCH */
    memory->total = number("NVML_STUB_TOTAL", 80ULL << 30);
    memory->reserved = RESERVED;
    memory->used = used(gpu);
    memory->free = memory->total - memory->used - RESERVED;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device *gpu, utilization *rates)
{
    FAIL("nvmlDeviceGetUtilizationRates", (int)gpu->index);
    rates->gpu = (unsigned int)number("NVML_STUB_UTILIZATION", 37);
    rates->memory = 5;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(device *gpu, unsigned int *current, unsigned int *pending)
{
    FAIL("nvmlDeviceGetMigMode", (int)gpu->index);
    *current = *pending = (unsigned int)number("NVML_STUB_MIG", 0);
    return SUCCESS;
}
