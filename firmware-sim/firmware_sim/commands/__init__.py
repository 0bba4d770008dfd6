"""The commands of `firmware-sim`, one file each: parse, call one function, print."""
