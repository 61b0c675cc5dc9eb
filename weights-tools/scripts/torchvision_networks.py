"""torchvision's networks, and at which sizes there are references of them."""

import torchvision

# Name: (the committed size, whether also made in full size).
FIRST = {
    "alexnet": ((67, 67), True),
    "vgg16": ((33, 33), True),
    "vgg16_bn": ((37, 37), True),
    "squeezenet1_0": ((49, 49), False),
    "squeezenet1_1": ((49, 49), True),
}
# Name: (the small size, whether that is committed).
FURTHER = {
    **{f"vgg{depth}": ((97, 97), False) for depth in (11, 13, 19)},
    **{f"vgg{depth}_bn": ((97, 97), False) for depth in (11, 13, 19)},
    "googlenet": ((47, 53), True),
    "googlenet_untransformed": ((47, 53), False),
    "inception_v3": ((75, 107), True),
    "resnet18": ((35, 41), True),
    "resnet34": ((35, 41), False),
    "resnet50": ((35, 41), True),
    "resnet50_v1": ((35, 41), True),
    # On 73x81 its last plane has 3x3 pixels, of which one nearly vanishes: f32 loses its digits.
    "resnet101": ((97, 97), False),
    "resnet152": ((35, 41), False),
    "resnext50_32x4d": ((33, 41), True),
    "resnext101_32x8d": ((33, 41), False),
    "wide_resnet50_2": ((33, 41), True),
    "wide_resnet101_2": ((33, 41), False),
    "densenet121": ((61, 65), True),
    "densenet161": ((61, 65), False),
    "densenet169": ((61, 65), False),
    "densenet201": ((61, 65), False),
    "mobilenet_v2": ((33, 65), True),
    "mnasnet0_5": ((33, 65), True),
    "mnasnet1_0": ((33, 65), False),
    "shufflenet_v2_x0_5": ((33, 65), True),
    "shufflenet_v2_x1_0": ((33, 65), False),
}


def build(name):
    """torchvision's network without auxiliary heads, its weights still to be drawn.

    `_untransformed` leaves out the transform that comes with torchvision's
    weights; `_v1` strides in the first convolution of a bottleneck.
    """
    base = name.removesuffix("_untransformed").removesuffix("_v1")
    options = {}
    if base in ("googlenet", "inception_v3"):
        transform = not name.endswith("_untransformed")
        options = {"aux_logits": False, "init_weights": False, "transform_input": transform}
    net = getattr(torchvision.models, base)(**options)
    if name.endswith("_v1"):
        for module in net.modules():
            if isinstance(module, torchvision.models.resnet.Bottleneck):
                module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    return net


def full_size(name):
    return (299, 299) if name.startswith("inception") else (224, 224)
