"""A ROS 2 node: a camera's and a microphone's topics in, events out.

    ros2 run ... or: python examples/ros2_node.py guard.mmedge

Untested: written against ROS 2 Jazzy's rclpy, sensor_msgs and audio_common_msgs, none of
which mmedge's tests have. Stamps are those of the messages, moved from ROS time to the
monotonic clock by the offset at the start.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import rclpy
from audio_common_msgs.msg import AudioData
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String

from mmedge import Pipeline
from mmedge.runtime.preprocess import Picture

CHANNELS = {"rgb8": "rgb", "bgr8": "bgr"}


class Mmedge(Node):
    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__("mmedge")
        self._pipeline = pipeline
        self._offset_ns = time.monotonic_ns() - self.get_clock().now().nanoseconds
        self._events = self.create_publisher(String, "~/events", 10)
        # Queues of one: what comes too fast is lost here, and not delayed.
        self.create_subscription(Image, "image", self._see, 1)
        self.create_subscription(AudioData, "audio", self._hear, 10)

    def _see(self, message: Image) -> None:
        stamp = message.header.stamp
        time_ns = stamp.sec * 1_000_000_000 + stamp.nanosec + self._offset_ns
        rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        pixels = rows[:, : message.width * 3].reshape(message.height, message.width, 3)
        self._pipeline.push("camera", Picture(pixels, CHANNELS[message.encoding]), time_ns)

    def _hear(self, message: AudioData) -> None:
        # Without a stamp of its own, sound counts from its arrival: at the model's rate.
        self._pipeline.push("mic", np.frombuffer(bytes(message.data), np.int16))

    def publish(self) -> None:
        for tick in self._pipeline:
            for event in tick.events:
                self._events.publish(String(data=f"{event.label} {event.what}"))


def main() -> None:
    rclpy.init()
    with Pipeline.open(sys.argv[1]) as pipeline:
        node = Mmedge(pipeline)
        threading.Thread(target=node.publish, daemon=True).start()
        rclpy.spin(node)


if __name__ == "__main__":
    main()
