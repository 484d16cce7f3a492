"""From a file to frames.

The file is opened only in a child process, so that a decoder that hangs or crashes costs an error message only.

    checks    what is refused before FFmpeg sees the file
    streams   child: which video stream of a file is read
    formats   child: formats that are not read, and how to convert them
    timeline  child: where a file's clock jumps, and times that continue all the same
    probe     child: the info about a file (`VideoInfo`), from its packets
    sampling  which frames to read (`SamplingPlan`)
    tone_mapping, deinterlace, transparency   child: pictures that need more than decoding
    pyav_reader, decord_reader   child: the two decoders
    decode_worker    child: its main function
    decode_process   parent: starts the child, receives from it, ends it
    video     parent: `Video`, the front door
    reader    parent: chunks of frames, retry with the other decoder, report
"""
