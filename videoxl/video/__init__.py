"""A file to frames.

The file is opened only in a child process, so that a hang or a crash of a decoder is an error message and not our end.

    checks    what can be refused before FFmpeg sees the file
    streams   child: which video stream of a file is read
    formats   child: formats that are not read, and how to convert them
    timeline  child: where a file's clock jumps, and times that go on all the same
    probe     child: the info about a file (`VideoInfo`), from its packets
    sampling  which frames to read (`SamplingPlan`)
    tone_mapping, deinterlace, transparency   child: pictures that need more than decoding
    pyav_reader, decord_reader   child: the two decoders
    worker    child: its main function
    process   parent: starts the child, receives from it, ends it
    video     parent: `Video`, the front door
    reader    parent: chunks of frames, retry with the other decoder, report
"""
